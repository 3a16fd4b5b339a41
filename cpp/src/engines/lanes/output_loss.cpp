#include "engines/lanes/output_loss.hpp"

#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

/// factor x, but 0 where the row's coefficient c is 0.
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
  return visit_loss(rows.loss, [&]<class L>(const L loss) -> V {
    const Index targets = L::targets == Targets::labels ? 1 : n;
    CompensatedSum<V> sum;
    for (Index row = 0; row < rows.rows; ++row) {
      const V c = rows.c[row];
      const V *o_row = o + row * n, *y_row = rows.y + row * targets;
      if (d == nullptr) {
        sum.add(weighted(c, c, loss.value(o_row, y_row, n)));
        continue;
      }
      V* const d_row = d + row * n;
      sum.add(weighted(c, c, loss.gradient(o_row, y_row, n, d_row)));
      const V factor = broadcast<V>(scale) * c;
      for (Index j = 0; j < n; ++j) d_row[j] = weighted(c, factor, d_row[j]);
    }
    return sum.value();
  });
}

template <class T>
void output_curvature(Index n, const LaneRows<T>& rows, const Vec<T>* o, const Vec<T>* ro,
                      Vec<T>* rd, T scale) {
  using V = Vec<T>;
  visit_loss(rows.loss, [&]<class L>(const L loss) {
    const Index targets = L::targets == Targets::labels ? 1 : n;
    for (Index row = 0; row < rows.rows; ++row) {
      V* const rd_row = rd + row * n;
      loss.hessian_vector(o + row * n, rows.y + row * targets, ro + row * n, n, rd_row);
      const V c = rows.c[row], factor = broadcast<V>(scale) * c;
      for (Index j = 0; j < n; ++j) rd_row[j] = weighted(c, factor, rd_row[j]);
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
