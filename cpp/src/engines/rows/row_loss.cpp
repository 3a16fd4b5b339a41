#include "engines/rows/row_loss.hpp"

#include "kernels/compensated.hpp"
#include "kernels/transpose.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

/// One number of each of `rows` rows; 0 in the lanes beyond.
template <class T, class Number>
Vec<T> lanes_of(const Number* numbers, Index rows) {
  T lanes[kLanes<T>]{};
  for (Index i = 0; i < rows; ++i) lanes[i] = static_cast<T>(numbers[i]);
  return load<Vec<T>>(lanes);
}

template <class T>
Vec<T> coefficients(const Targeted<T>& set, Index first, Index rows) {
  if (set.coefficients != nullptr) return lanes_of<T>(set.coefficients + first, rows);
  if (rows == kLanes<T>) return broadcast<Vec<T>>(set.uniform);
  T lanes[kLanes<T>]{};
  for (Index i = 0; i < rows; ++i) lanes[i] = set.uniform;
  return load<Vec<T>>(lanes);
}

template <class T>
void gather_outputs(const Targeted<T>& set, const T* o, Index stride, Index rows, Vec<T>* packs) {
  gather_columns(o, stride, rows, set.outputs, packs);
  if (set.classes == nullptr) return;
  for (Index j = 0; j < set.outputs; ++j) {
    if (set.classes[j] == 0) packs[j] = broadcast<Vec<T>>(kAbsentOutput<T>);
  }
}

template <class L, class T>
void gather_targets(const Targeted<T>& set, Index first, Index rows, Vec<T>* y) {
  if constexpr (L::targets == Targets::labels) {
    y[0] = lanes_of<T>(set.labels + first, rows);
  } else {
    gather_columns(set.y + first * set.outputs, set.outputs, rows, set.outputs, y);
  }
}

/// x times the coefficient, and 0 where that is 0 even if x is not finite.
template <class V>
FOMAML_FAST_INLINE V weighted(V coefficient, V x) {
  const V zero{};
  return select(coefficient == zero, zero, coefficient * x);
}

}  // namespace

template <class T>
T loss(const Targeted<T>& set, const T* o, Index stride, const LossScratch<T>& scratch, T* d) {
  using V = Vec<T>;
  const Index outputs = set.outputs;
  CompensatedSum<V> sum;
  visit_loss(set.loss.id, [&]<class L>(L) {
    for (Index first = 0; first < set.count; first += kLanes<T>) {
      const Index rows = std::min<Index>(kLanes<T>, set.count - first);
      gather_outputs(set, o + first * stride, stride, rows, scratch.o);
      gather_targets<L>(set, first, rows, scratch.y);
      const V c = coefficients(set, first, rows);
      if (d == nullptr) {
        sum.add(weighted(c, L::value(set.loss.parameter, scratch.o, scratch.y, outputs)));
        continue;
      }
      sum.add(
          weighted(c, L::gradient(set.loss.parameter, scratch.o, scratch.y, outputs, scratch.d)));
      for (Index j = 0; j < outputs; ++j) scratch.d[j] = weighted(c, scratch.d[j]);
      scatter_columns(scratch.d, rows, outputs, d + first * stride, stride);
    }
  });
  const V lanes = sum.value();
  CompensatedSum<T> total;
  for (int i = 0; i < kLanes<T>; ++i) total.add(lanes[i]);
  return total.value();
}

template <class T>
void loss_curvature(const Targeted<T>& set, const T* o, const T* ro, Index stride,
                    const LossScratch<T>& scratch, T* rd) {
  using V = Vec<T>;
  const Index outputs = set.outputs;
  visit_loss(set.loss.id, [&]<class L>(L) {
    for (Index first = 0; first < set.count; first += kLanes<T>) {
      const Index rows = std::min<Index>(kLanes<T>, set.count - first);
      gather_outputs(set, o + first * stride, stride, rows, scratch.o);
      gather_columns(ro + first * stride, stride, rows, outputs, scratch.r);
      gather_targets<L>(set, first, rows, scratch.y);
      L::hessian_vector(set.loss.parameter, scratch.o, scratch.y, scratch.r, outputs, scratch.d);
      const V c = coefficients(set, first, rows);
      for (Index j = 0; j < outputs; ++j) scratch.d[j] = weighted(c, scratch.d[j]);
      scatter_columns(scratch.d, rows, outputs, rd + first * stride, stride);
    }
  });
}

#define FOMAML_FAST_ROWS_LOSS(T)                                                      \
  template T loss<T>(const Targeted<T>&, const T*, Index, const LossScratch<T>&, T*); \
  template void loss_curvature<T>(const Targeted<T>&, const T*, const T*, Index,      \
                                  const LossScratch<T>&, T*);
FOMAML_FAST_ROWS_LOSS(float)
FOMAML_FAST_ROWS_LOSS(double)

}  // namespace FOMAML_FAST_NAMESPACE::rows
