// Definitions of pass.hpp; pass_<type>.cpp instantiate them, one type each, to share the compile
// time between cores.

#include "engines/lanes/elementwise.hpp"
#include "engines/lanes/output_loss.hpp"
#include "engines/lanes/pass.hpp"
#include "engines/lanes/row_sums.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

constexpr std::size_t at(int layer) { return NetworkSpec::at(layer); }

/// What a layer is fed: x, or the outputs before it.
template <class T>
const Vec<T>* input(const LaneRows<T>& rows, const Activity<T>& activity, int layer) {
  return layer == 0 ? rows.x : activity.h[at(layer - 1)];
}

/// What the layer's normalisation keeps of these rows.
template <class T>
normalization::Layer<Vec<T>> norm_of(const Activity<T>& activity, int layer, Index rows) {
  return activity.norms[at(layer)].with_rows(rows);
}
/// The same with its tangents.
template <class T>
normalization::Layer<Vec<T>> norm_of(const Activity<T>& activity, const Tangents<T>& tangents,
                                     int layer, Index rows) {
  auto norm = norm_of(activity, layer, rows);
  norm.r_xhat = tangents.r_xhat[at(layer)];
  norm.r_log_scale = tangents.r_log_scale[at(layer)];
  return norm;
}

/// Whether sums start at what is there: pieces of many rows are added where they are formed.
template <class Start>
inline constexpr bool kAddsTo = !std::is_same_v<Start, Zero>;

/// The gradient on W and b, from d.
template <class T, class Start, class FinishWeight, class FinishBias>
void parameter_sums(const Shapes& shapes, int l, const LaneRows<T>& rows,
                    const Activity<T>& activity, const Vec<T>* d, Vec<T>* to, const Start& start,
                    const FinishWeight& finish_weight, const FinishBias& finish_bias) {
  using V = Vec<T>;
  const Layer& layer = shapes[l];
  const Index n = rows.rows;
  bias_sums(layer, d, n, few_rows(rows), to, finish_bias);
  if constexpr (std::is_same_v<FinishWeight, Store>) {
    if (rows.blocked) {
      return block_products(layer, input(rows, activity, l), shapes.inputs(l, n), d,
                            layer.outputs(n), kAddsTo<Start>, to + layer.weight);
    }
  }
  const Term<V, V> term{transpose(input(rows, activity, l), shapes.inputs(l, n)),
                        matrix(d, layer.outputs(n)), n};
  multiply(layer.weights(), term, start, to + layer.weight, finish_weight);
}

/// The gradient on all of layer l's parameters; `finish_at` gives the finish of the rows that stand
/// at an offset: the bias, the gains, the shifts.
template <class T, class Start, class FinishWeight, class FinishAt>
void layer_sums(const Shapes& shapes, int l, const LaneRows<T>& rows, const Activity<T>& activity,
                Vec<T>* to, const Start& start, const FinishWeight& finish_weight,
                const FinishAt& finish_at) {
  const Layer& layer = shapes[l];
  parameter_sums(shapes, l, rows, activity, activity.d[at(l)], to, start, finish_weight,
                 finish_at(layer.bias));
  if (!layer.normalized()) return;
  const Vec<T>* const du = activity.du[at(l)];
  const Index few = few_rows(rows);
  gain_sums(norm_of(activity, l, rows.rows), du, few, to + layer.gain, finish_at(layer.gain));
  column_sums(du, layer.outputs(rows.rows), few, to + layer.shift, finish_at(layer.shift));
}

/// The tangent of the gradient on W and b: H'RD + RH'D where it is fed a tangent RH.
template <class T, class Start, class FinishBias>
void hessian_parameters(const Shapes& shapes, int l, bool fed, const LaneRows<T>& rows,
                        const Activity<T>& activity, const Tangents<T>& tangents, Vec<T>* to,
                        const Start& start, const FinishBias& finish_bias) {
  using V = Vec<T>;
  const V* const rd = tangents.rd[at(l)];
  if (!fed) {
    return parameter_sums(shapes, l, rows, activity, rd, to, start, Store{}, finish_bias);
  }
  const Layer& layer = shapes[l];
  const Index n = rows.rows;
  const Grid in = shapes.inputs(l, n), out = layer.outputs(n);
  bias_sums(layer, rd, n, few_rows(rows), to, finish_bias);
  if (rows.blocked) {
    V* const weight = to + layer.weight;
    block_products(layer, input(rows, activity, l), in, rd, out, kAddsTo<Start>, weight);
    return block_products<V>(layer, tangents.rh[at(l - 1)], in, activity.d[at(l)], out, true,
                             weight);
  }
  const Term<V, V> by_rd{transpose(input(rows, activity, l), in), matrix(rd, out), n};
  const Term<V, V> by_d{transpose<V>(tangents.rh[at(l - 1)], in), matrix<V>(activity.d[at(l)], out),
                        n};
  multiply(layer.weights(), by_d, by_rd, start, to + layer.weight);
}

/// d[layer] from du[layer], where the layer is normalised.
template <class T, class B>
void through_norm(const Shapes& shapes, const B* theta, Index rows, const Activity<T>& activity,
                  int layer) {
  const Layer& here = shapes[layer];
  if (!here.normalized()) return;
  Vec<T>* const d = activity.d[at(layer)];
  std::copy_n(activity.du[at(layer)], rows * here.fan_out, d);
  normalization::pull_back(norm_of(activity, layer, rows), theta + here.gain, d);
}

/// d[layer] from the delta of the layer above.
template <class T, class B>
void input_gradient(const Shapes& shapes, const B* theta, Index rows, const Activity<T>& activity,
                    int layer) {
  using V = Vec<T>;
  const Layer& above = shapes[layer + 1];
  const Layer& here = shapes[layer];
  const Term<V, B> term{matrix<V>(activity.d[at(layer + 1)], above.outputs(rows)),
                        transpose(theta + above.weight, above.weights()), above.fan_out};
  const Grid grid = here.outputs(rows);
  V* const dh = activity.dh[at(layer)];
  V* const du = activity.du[at(layer)];
  const V* const s = activity.s[at(layer)];
  if (here.facts.fusion != Fusion::none && dh == du) {
    visit_activation(here.activation, [&]<class A>(const A& a) {
      if constexpr (A::fusion != Fusion::none) {
        multiply(grid, term, Zero{}, du, TimesSlope<A, V>{a, s});
      }
    });
  } else {
    multiply(grid, term, Zero{}, dh, Store{});
    times_slope(here.activation, grid, s, dh, du);
  }
  through_norm(shapes, theta, rows, activity, layer);
}

}  // namespace

template <class T>
Activity<T> Activity<T>::carve(const Shapes& shapes, Index most_rows, bool gradients,
                               Arena& arena) {
  Activity activity;
  for (int l = 0; l < shapes.depth; ++l) {
    const Index size = most_rows * shapes[l].stride;
    activity.h[at(l)] = arena.take<V>(size);
    activity.s[at(l)] = shapes[l].facts.needs_input ? arena.take<V>(size) : activity.h[at(l)];
    activity.norms[at(l)] =
        normalization::Layer<V>::carve(shapes[l].norm, most_rows, shapes[l].fan_out, false, arena);
    if (!gradients) continue;
    activity.d[at(l)] = arena.take<V>(size);
    activity.du[at(l)] = shapes[l].normalized() ? arena.take<V>(size) : activity.d[at(l)];
    const bool apart = shapes.second_order && shapes[l].facts.curved;
    activity.dh[at(l)] = apart ? arena.take<V>(size) : activity.du[at(l)];
  }
  return activity;
}

template <class T>
Tangents<T> Tangents<T>::carve(const Shapes& shapes, Index most_rows, Arena& arena) {
  Tangents tangents;
  for (int l = 0; l < shapes.depth; ++l) {
    const Index size = most_rows * shapes[l].stride;
    tangents.rz[at(l)] = arena.take<V>(size);
    // The tangent of h may take the place of that of z where nothing else wants the latter.
    tangents.rh[at(l)] = shapes[l].facts.curved ? arena.take<V>(size) : tangents.rz[at(l)];
    tangents.rd[at(l)] = arena.take<V>(size);
    if (!shapes[l].normalized()) continue;
    tangents.r_xhat[at(l)] = arena.take<V>(size);
    tangents.r_log_scale[at(l)] = arena.take<V>(std::max(most_rows, shapes[l].fan_out));
  }
  return tangents;
}

template <class T, class B>
void forward(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
             const Activity<T>& activity, int first) {
  using V = Vec<T>;
  for (int l = first; l < shapes.depth; ++l) {
    const Layer& layer = shapes[l];
    const Term<V, B> term{matrix(input(rows, activity, l), shapes.inputs(l, rows.rows)),
                          matrix(theta + layer.weight, layer.weights()), layer.fan_in};
    const Grid grid = layer.outputs(rows.rows);
    const Row<B> bias{theta + layer.bias};
    V* const h = activity.h[at(l)];
    V* const z = activity.s[at(l)];  // h's own place unless z is wanted
    if (layer.normalized()) {
      multiply(grid, term, bias, z, Store{});
      normalization::apply(norm_of(activity, l, rows.rows), theta + layer.gain, theta + layer.shift,
                           z);
      if (layer.facts.is_identity) continue;
      activate(layer.activation, grid, z, h);
    } else if (layer.facts.fusion == Fusion::all) {
      visit_activation(layer.activation, [&]<class A>(const A& a) {
        if constexpr (A::is_identity) {
          multiply(grid, term, bias, h, Store{});
        } else if constexpr (A::fusion == Fusion::all) {
          multiply(grid, term, bias, h, Activate<A>{a});
        }
      });
    } else {
      multiply(grid, term, bias, z, Store{});
      activate(layer.activation, grid, z, h);
    }
  }
}

template <class T, class B>
void deltas(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
            const Activity<T>& activity) {
  for (int l = shapes.depth - 2; l >= 0; --l) input_gradient(shapes, theta, rows.rows, activity, l);
}

template <class T, class B>
void gradient(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
              const Activity<T>& activity, bool add, Vec<T>* to, int first) {
  using V = Vec<T>;
  for (int l = shapes.depth - 1; l >= first; --l) {
    if (l > first) input_gradient(shapes, theta, rows.rows, activity, l - 1);
    if (add) {
      layer_sums(shapes, l, rows, activity, to, From<V>{to + shapes[l].weight}, Store{},
                 [&](Index at) { return AddTo<V, V>{to + at, broadcast<V>(1)}; });
    } else {
      layer_sums(shapes, l, rows, activity, to, Zero{}, Store{}, [](Index) { return Store{}; });
    }
  }
}

template <class T, class B>
void descend(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
             const Activity<T>& activity, const T* rates, Vec<T>* to) {
  using V = Vec<T>;
  for (int l = shapes.depth - 1; l >= 0; --l) {
    if (l > 0) input_gradient(shapes, theta, rows.rows, activity, l - 1);
    if (rates == nullptr) {
      layer_sums(shapes, l, rows, activity, to, From<B>{theta + shapes[l].weight}, Store{},
                 [&](Index at) { return AddTo<V, B>{theta + at, broadcast<V>(1)}; });
      continue;
    }
    const V factor = broadcast<V>(-rates[l]);
    layer_sums(shapes, l, rows, activity, to, Zero{}, AddTo<V, B>{theta + shapes[l].weight, factor},
               [&](Index at) { return AddTo<V, B>{theta + at, factor}; });
  }
}

template <class T, class B>
void hessian_vector(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
                    const Activity<T>& activity, const Vec<T>* v, const Tangents<T>& tangents,
                    const Vec<T>* from, Vec<T>* to, int first, Vec<T>* below_first) {
  using V = Vec<T>;
  const Index n = rows.rows;
  for (int l = first; l < shapes.depth; ++l) {
    const Layer& layer = shapes[l];
    V* const rz = tangents.rz[at(l)];
    const bool given = l == first && tangents.lowest_bias != nullptr;
    const Row<V> bias{given ? tangents.lowest_bias : v + layer.bias};
    const Grid in = shapes.inputs(l, n), out = layer.outputs(n);
    const Term<V, V> by_v{matrix(input(rows, activity, l), in),
                          matrix(v + layer.weight, layer.weights()), layer.fan_in};
    if (l == first) {
      multiply(out, by_v, bias, rz, Store{});
    } else {
      const Term<V, B> by_theta{matrix<V>(tangents.rh[at(l - 1)], in),
                                matrix(theta + layer.weight, layer.weights()), layer.fan_in};
      multiply(out, by_theta, by_v, bias, rz);
    }
    if (layer.normalized()) {
      normalization::apply_tangent(norm_of(activity, tangents, l, n), theta + layer.gain,
                                   v + layer.gain, v + layer.shift, rz);
    }
    if (layer.facts.is_identity) continue;
    times_slope(layer.activation, out, activity.s[at(l)], rz, tangents.rh[at(l)]);
  }
  const int top = shapes.depth - 1;
  output_curvature(shapes[top].fan_out, rows, activity.h[at(top)], tangents.rz[at(top)],
                   tangents.rd[at(top)], activity.delta_scale);

  for (int l = top; l >= first; --l) {
    const Layer& layer = shapes[l];
    const bool fed = l > first;  // its inputs have a tangent
    if (from != nullptr) {
      hessian_parameters(shapes, l, fed, rows, activity, tangents, to, From<V>{from + layer.weight},
                         AddTo<V, V>{from + layer.bias, broadcast<V>(1)});
    } else {
      hessian_parameters(shapes, l, fed, rows, activity, tangents, to, Zero{}, Store{});
    }
    if (!fed && below_first == nullptr) break;

    const Layer& below = shapes[l - 1];
    const Grid out = layer.outputs(n), in = below.outputs(n);
    const Term<V, B> by_theta{matrix<V>(tangents.rd[at(l)], out),
                              transpose(theta + layer.weight, layer.weights()), layer.fan_out};
    const Term<V, V> by_v{matrix<V>(activity.d[at(l)], out),
                          transpose(v + layer.weight, layer.weights()), layer.fan_out};
    if (!fed) {
      multiply(in, by_theta, by_v, From<V>{below_first}, below_first);
      break;
    }
    V* const rd = tangents.rd[at(l - 1)];
    const V* const s = activity.s[at(l - 1)];
    multiply(in, by_theta, by_v, Zero{}, rd);
    if (below.facts.curved) {
      slope_tangent(below.activation, in, s, activity.dh[at(l - 1)], tangents.rz[at(l - 1)], rd);
    } else if (!below.facts.is_identity) {
      times_slope(below.activation, in, s, rd, rd);
    }
    if (!below.normalized()) continue;
    const auto norm = norm_of(activity, tangents, l - 1, n);
    const V* const du = activity.du[at(l - 1)];
    const Index few = few_rows(rows);
    if (from != nullptr) {
      const V one = broadcast<V>(1);
      gain_tangent_sums(norm, du, rd, few, to + below.gain, AddTo<V, V>{from + below.gain, one});
      column_sums(rd, in, few, to + below.shift, AddTo<V, V>{from + below.shift, one});
    } else {
      gain_tangent_sums(norm, du, rd, few, to + below.gain, Store{});
      column_sums(rd, in, few, to + below.shift, Store{});
    }
    // d comes out as it was.
    std::copy_n(du, n * in.width, activity.d[at(l - 1)]);
    normalization::pull_back_tangent(norm, theta + below.gain, v + below.gain,
                                     activity.d[at(l - 1)], rd);
  }
}

template <class T, class B>
void through_layer(const Shapes& shapes, const B* theta, int layer, const LaneRows<T>& rows,
                   const Activity<T>& activity) {
  const Layer& here = shapes[layer];
  Vec<T>* const du = activity.du[at(layer)];
  if (!here.facts.is_identity) {
    times_slope(here.activation, here.outputs(rows.rows), activity.s[at(layer)], du, du);
  }
  through_norm(shapes, theta, rows.rows, activity, layer);
}

#define FOMAML_FAST_INSTANTIATE_PASS(T, B)                                                      \
  template void forward<T, B>(const Shapes&, const B*, const LaneRows<T>&, const Activity<T>&,  \
                              int);                                                             \
  template void deltas<T, B>(const Shapes&, const B*, const LaneRows<T>&, const Activity<T>&);  \
  template void gradient<T, B>(const Shapes&, const B*, const LaneRows<T>&, const Activity<T>&, \
                               bool, Vec<T>*, int);                                             \
  template void descend<T, B>(const Shapes&, const B*, const LaneRows<T>&, const Activity<T>&,  \
                              const T*, Vec<T>*);                                               \
  template void hessian_vector<T, B>(const Shapes&, const B*, const LaneRows<T>&,               \
                                     const Activity<T>&, const Vec<T>*, const Tangents<T>&,     \
                                     const Vec<T>*, Vec<T>*, int, Vec<T>*);                     \
  template void through_layer<T, B>(const Shapes&, const B*, int, const LaneRows<T>&,           \
                                    const Activity<T>&);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
