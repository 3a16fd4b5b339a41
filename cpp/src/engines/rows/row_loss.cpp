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
void clear_lanes_beyond(Index rows, Index count, Vec<T>* packs) {
  if (rows == kLanes<T>) return;
  T ones[kLanes<T>]{};
  std::fill_n(ones, rows, T(1));
  const auto beyond = load<Vec<T>>(ones) == Vec<T>{};
  for (Index i = 0; i < count; ++i) packs[i] = select(beyond, Vec<T>{}, packs[i]);
}

template <class T>
void gather_outputs(const Targeted<T>& set, const T* o, Index stride, Index rows, Vec<T>* packs) {
  gather_columns(o, stride, rows, set.outputs, packs);
  if (set.classes == nullptr) return;
  for (Index j = 0; j < set.outputs; ++j) {
    if (set.classes[j] == 0) packs[j] = broadcast<Vec<T>>(kAbsentOutput<T>);
  }
}

/// x times the factor, and 0 where the coefficient is 0 even if x is not finite.
template <class V>
FOMAML_FAST_INLINE V weighted(V coefficient, V factor, V x) {
  const V zero{};
  return select(coefficient == zero, zero, factor * x);
}

}  // namespace

template <class T>
Targeted<T> TargetPacks<T>::gather(const RowShape& shape, const RowSet<T>& set, Index task,
                                   Index first, Index count) const {
  const bool labels = takes_labels(shape.loss);
  const Index parts = set.per_output ? outputs_ : 1;
  const Targeted<T> all{shape.loss,
                        outputs_,
                        count,
                        set.classes_of(task, outputs_),
                        parts,
                        packs_,
                        parts + (labels ? 1 : outputs_)};
  const T uniform = T(1) / static_cast<T>(set.count(task));
  const Index place = set.first(task) + first;
  Vec<T>* group = packs_;
  for (Index done = 0; done < count; done += kLanes<T>, group += all.step) {
    const Index rows = std::min<Index>(kLanes<T>, count - done), row = place + done;
    if (set.per_output) {
      gather_columns(set.coefficients + row * parts, parts, rows, parts, group);
      clear_lanes_beyond<T>(rows, parts, group);
    } else {
      T lanes[kLanes<T>]{};
      for (Index i = 0; i < rows; ++i) {
        lanes[i] = set.coefficients == nullptr ? uniform : set.coefficients[row + i];
      }
      group[0] = load<Vec<T>>(lanes);
    }
    if (labels) {
      group[parts] = lanes_of<T>(set.labels + row, rows);
    } else {
      gather_columns(set.y + row * outputs_, outputs_, rows, outputs_, group + parts);
    }
  }
  return all;
}

template <class T>
T loss(const Targeted<T>& set, const T* o, Index stride, const LossScratch<T>& scratch, T* d,
       T scale) {
  using V = Vec<T>;
  const Index together = set.parts == 1 ? set.outputs : 1;
  CompensatedSum<V> sum;
  visit_loss(set.loss, [&](const auto of_part) {
    const V* group = set.packs;
    for (Index first = 0; first < set.count; first += kLanes<T>, group += set.step) {
      const Index rows = std::min<Index>(kLanes<T>, set.count - first);
      gather_outputs(set, o + first * stride, stride, rows, scratch.o);
      for (Index part = 0; part < set.parts; ++part) {
        const V c = group[part], factor = broadcast<V>(scale) * c;
        const V *y = group + set.parts + part * together, *o_part = scratch.o + part * together;
        if (d == nullptr) {
          sum.add(weighted(c, c, of_part.value(o_part, y, together)));
          continue;
        }
        V* const d_part = scratch.d + part * together;
        sum.add(weighted(c, c, of_part.gradient(o_part, y, together, d_part)));
        for (Index j = 0; j < together; ++j) d_part[j] = weighted(c, factor, d_part[j]);
      }
      if (d != nullptr) scatter_columns(scratch.d, rows, set.outputs, d + first * stride, stride);
    }
  });
  return sum_over_lanes(sum.value())[0];
}

template <class T>
void loss_curvature(const Targeted<T>& set, const T* o, const T* ro, Index stride,
                    const LossScratch<T>& scratch, T* rd, T scale) {
  using V = Vec<T>;
  const Index together = set.parts == 1 ? set.outputs : 1;
  visit_loss(set.loss, [&](const auto of_part) {
    const V* group = set.packs;
    for (Index first = 0; first < set.count; first += kLanes<T>, group += set.step) {
      const Index rows = std::min<Index>(kLanes<T>, set.count - first);
      gather_outputs(set, o + first * stride, stride, rows, scratch.o);
      gather_columns(ro + first * stride, stride, rows, set.outputs, scratch.r);
      for (Index part = 0; part < set.parts; ++part) {
        const Index at = part * together;
        const V c = group[part], factor = broadcast<V>(scale) * c;
        V* const d_part = scratch.d + at;
        of_part.hessian_vector(scratch.o + at, group + set.parts + at, scratch.r + at, together,
                               d_part);
        for (Index j = 0; j < together; ++j) d_part[j] = weighted(c, factor, d_part[j]);
      }
      scatter_columns(scratch.d, rows, set.outputs, rd + first * stride, stride);
    }
  });
}

#define FOMAML_FAST_ROWS_LOSS(T)                                                         \
  template class TargetPacks<T>;                                                         \
  template T loss<T>(const Targeted<T>&, const T*, Index, const LossScratch<T>&, T*, T); \
  template void loss_curvature<T>(const Targeted<T>&, const T*, const T*, Index,         \
                                  const LossScratch<T>&, T*, T);
FOMAML_FAST_ROWS_LOSS(float)
FOMAML_FAST_ROWS_LOSS(double)

}  // namespace FOMAML_FAST_NAMESPACE::rows
