#include "engines/lanes/output_loss.hpp"

#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

/// factor x, but 0 where the coefficient c is 0.
template <class V>
FOMAML_FAST_INLINE V weighted(V c, V factor, V x) {
  return select(c == V{}, V{}, factor * x);
}

template <class T>
void leave_out_absent(Index n, const LaneRows<T>& rows, Vec<T>* o) {
  using V = Vec<T>;
  if (!rows.masked) return;
  for (Index j = 0; j < n; ++j) {
    const auto absent = rows.absent[j] != V{};
    for (Index row = 0; row < rows.rows; ++row) {
      V& output = o[row * n + j];
      output = select(absent, broadcast<V>(kAbsentOutput<T>), output);
    }
  }
}

}  // namespace

template <class T>
Vec<T> output_loss(Index n, const LaneRows<T>& rows, Vec<T>* o, Vec<T>* d, T scale) {
  using V = Vec<T>;
  leave_out_absent(n, rows, o);
  const Index together = rows.per_output ? 1 : n, parts = rows.rows * (rows.per_output ? n : 1);
  return visit_loss(rows.loss, [&]<class L>(const L loss) -> V {
    const Index targets = L::targets == Targets::labels ? 1 : together;
    CompensatedSum<V> sum;
    for (Index part = 0; part < parts; ++part) {
      const V c = rows.c[part];
      const V *o_part = o + part * together, *y_part = rows.y + part * targets;
      if (d == nullptr) {
        sum.add(weighted(c, c, loss.value(o_part, y_part, together)));
        continue;
      }
      V* const d_part = d + part * together;
      sum.add(weighted(c, c, loss.gradient(o_part, y_part, together, d_part)));
      const V factor = broadcast<V>(scale) * c;
      for (Index j = 0; j < together; ++j) d_part[j] = weighted(c, factor, d_part[j]);
    }
    return sum.value();
  });
}

template <class T>
void output_curvature(Index n, const LaneRows<T>& rows, const Vec<T>* o, const Vec<T>* ro,
                      Vec<T>* rd, T scale) {
  using V = Vec<T>;
  const Index together = rows.per_output ? 1 : n, parts = rows.rows * (rows.per_output ? n : 1);
  visit_loss(rows.loss, [&]<class L>(const L loss) {
    const Index targets = L::targets == Targets::labels ? 1 : together;
    for (Index part = 0; part < parts; ++part) {
      const Index first = part * together;
      loss.hessian_vector(o + first, rows.y + part * targets, ro + first, together, rd + first);
      const V c = rows.c[part], factor = broadcast<V>(scale) * c;
      for (Index j = 0; j < together; ++j) rd[first + j] = weighted(c, factor, rd[first + j]);
    }
  });
}

#define FOMAML_FAST_INSTANTIATE(T)                                                           \
  template Vec<T> output_loss<T>(Index, const LaneRows<T>&, Vec<T>*, Vec<T>*, T);            \
  template void output_curvature<T>(Index, const LaneRows<T>&, const Vec<T>*, const Vec<T>*, \
                                    Vec<T>*, T);
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::lanes
