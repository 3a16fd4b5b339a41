#include "engines/rows/elementwise.hpp"

#include "base/watch.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

/// to[i] = formula(i), a pack at a time, until somebody wants to stop.
template <class T, class Formula>
FOMAML_FAST_INLINE void for_each_pack(Index count, T* to, Formula formula) {
  constexpr Index kStretch = Watch::kLongest / 32;
  Index i = 0;
  do {
    for (const Index end = std::min(count, i + kStretch); i < end; i += kLanes<T>) {
      store(to + i, formula(i));
    }
  } while (i < count && !Watch::of_thread().stopped(Watch::kLongest));
}

}  // namespace

template <class T>
void apply(const ActivationSpec& activation, const T* z, Index count, T* h) {
  using V = Vec<T>;
  visit_activation(activation, [&](const auto a) {
    for_each_pack(count, h, [=](Index i) { return a.apply(load<V>(z + i)); });
  });
}

template <class T>
void times_derivative(const ActivationSpec& activation, const T* s, const T* u, Index count, T* d) {
  using V = Vec<T>;
  visit_activation(activation, [&](const auto a) {
    for_each_pack(count, d, [=](Index i) { return load<V>(u + i) * a.d1(load<V>(s + i)); });
  });
}

template <class T>
void derivative_rule(const ActivationSpec& activation, const T* s, const T* u, const T* rz,
                     const T* ru, Index count, T* rd) {
  using V = Vec<T>;
  visit_activation(activation, [&](const auto a) {
    for_each_pack(count, rd, [=](Index i) {
      return derivative_tangent(a, load<V>(s + i), load<V>(u + i), load<V>(ru + i),
                                load<V>(rz + i));
    });
  });
}

namespace {

/// add_rows of more than a few rows, for kColumns vectors of columns.
template <int kColumns, class T>
void add_many_rows(const T* from, Index rows, Index stride, const T* start, T* sum) {
  using V = Vec<T>;
  V totals[kColumns]{}, errors[kColumns]{};
  for (Index first = 0; first < rows; first += kBlockTerms) {
    V block[kColumns]{};
    const T* row = from + first * stride;
    for (Index r = std::min(kBlockTerms, rows - first); r > 0; --r, row += stride) {
      for (Index v = 0; v < kColumns; ++v) block[v] += load<V>(row + v * kLanes<T>);
    }
    for (Index v = 0; v < kColumns; ++v) add_compensated(block[v], totals[v], errors[v]);
  }
  for (Index v = 0; v < kColumns; ++v) {
    store(sum + v * kLanes<T>, load<V>(start + v * kLanes<T>) + totals[v]);
  }
}

}  // namespace

template <class T>
void scale_rows(const T* from, Index rows, Index stride, T scale, T* to, const T* start, T* sum) {
  using V = Vec<T>;
  if (rows > kFewTerms) {
    for_each_pack(rows * stride, to, [=](Index i) { return scale * load<V>(from + i); });
    return add_rows(to, rows, stride, start, sum);
  }
  for (Index c = 0; c < stride; c += kLanes<T>) {
    V total = load<V>(start + c);
    for (Index r = 0; r < rows; ++r) {
      const V scaled = scale * load<V>(from + r * stride + c);
      store(to + r * stride + c, scaled);
      total += scaled;
    }
    store(sum + c, total);
  }
}

template <class T>
void add_rows(const T* from, Index rows, Index stride, const T* start, T* sum) {
  using V = Vec<T>;
  constexpr Index kTogether = 4;  // columns of so many vectors: whole cache lines of every row
  Index c = 0;
  if (rows > kFewTerms) {
    for (; c + kTogether * kLanes<T> <= stride; c += kTogether * kLanes<T>) {
      add_many_rows<kTogether>(from + c, rows, stride, start + c, sum + c);
    }
    for (; c < stride; c += kLanes<T>) {
      add_many_rows<1>(from + c, rows, stride, start + c, sum + c);
    }
    return;
  }
  for (; c + kTogether * kLanes<T> <= stride; c += kTogether * kLanes<T>) {
    V totals[kTogether];
    for (Index v = 0; v < kTogether; ++v) totals[v] = load<V>(start + c + v * kLanes<T>);
    for (Index r = 0; r < rows; ++r) {
      const T* row = from + r * stride + c;
      for (Index v = 0; v < kTogether; ++v) totals[v] += load<V>(row + v * kLanes<T>);
    }
    for (Index v = 0; v < kTogether; ++v) store(sum + c + v * kLanes<T>, totals[v]);
  }
  for (; c < stride; c += kLanes<T>) {
    V total = load<V>(start + c);
    for (Index r = 0; r < rows; ++r) total += load<V>(from + r * stride + c);
    store(sum + c, total);
  }
}

template <class T>
void accumulate(const T* from, Index count, T* to) {
  using V = Vec<T>;
  for_each_pack(count, to, [=](Index i) { return load<V>(to + i) + load<V>(from + i); });
}

template <class T>
void accumulate(const T* from, Index count, T factor, T* to, T* error) {
  using V = Vec<T>;
  for_each_pack(count, to, [=](Index i) {
    V sum = load<V>(to + i), lost = load<V>(error + i);
    add_compensated(factor * load<V>(from + i), sum, lost);
    store(error + i, lost);
    return sum;
  });
}

template <class T>
void sum_terms(const T* from, Index terms, Index distance, Index count, T scale, T* to) {
  using V = Vec<T>;
  if (terms > kBlockTerms) {
    return for_each_pack(count, to, [=](Index i) {
      CompensatedSum<V> sum;
      for (Index k = 0; k < terms; ++k) sum.add(load<V>(from + k * distance + i));
      return sum.value() * scale;
    });
  }
  for_each_pack(count, to, [=](Index i) {
    V sum = load<V>(from + i);
    for (Index k = 1; k < terms; ++k) sum += load<V>(from + k * distance + i);
    return sum * scale;
  });
}

template <class T>
bool is_finite(const T* x, Index count) {
  using V = Vec<T>;
  constexpr Index kWidth = kLanes<T>, kStreams = 4;
  // 0 x is 0 for finite x and NaN otherwise; a few sums at a time hide the latency of adding.
  V defects[kStreams]{};
  Index i = 0;
  for (; i + kStreams * kWidth <= count; i += kStreams * kWidth) {
    for (Index k = 0; k < kStreams; ++k) defects[k] += load<V>(x + i + k * kWidth) * V{};
  }
  for (; i < count; i += kWidth) defects[0] += load<V>(x + i) * V{};
  const V defect = (defects[0] + defects[1]) + (defects[2] + defects[3]);
  T total = 0;
  for (int lane = 0; lane < kWidth; ++lane) total += defect[lane];
  return total == T(0);
}

#define FOMAML_FAST_ROWS_ELEMENTWISE(T)                                                           \
  template void apply<T>(const ActivationSpec&, const T*, Index, T*);                             \
  template void times_derivative<T>(const ActivationSpec&, const T*, const T*, Index, T*);        \
  template void derivative_rule<T>(const ActivationSpec&, const T*, const T*, const T*, const T*, \
                                   Index, T*);                                                    \
  template void scale_rows<T>(const T*, Index, Index, T, T*, const T*, T*);                       \
  template void add_rows<T>(const T*, Index, Index, const T*, T*);                                \
  template void accumulate<T>(const T*, Index, T*);                                               \
  template void accumulate<T>(const T*, Index, T, T*, T*);                                        \
  template void sum_terms<T>(const T*, Index, Index, Index, T, T*);                               \
  template bool is_finite<T>(const T*, Index);
FOMAML_FAST_ROWS_ELEMENTWISE(float)
FOMAML_FAST_ROWS_ELEMENTWISE(double)

}  // namespace FOMAML_FAST_NAMESPACE::rows
