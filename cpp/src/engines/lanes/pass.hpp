// Forward and backward through the network, for one group of tasks and one piece of its rows.
//
// Parameters are packed vectors (packing.hpp). Their elements, B, are packs, or scalars while all
// tasks share the parameters. A pass that starts at layer `first` expects the outputs of the layers
// below in place: layers that do not adapt have the same outputs at every step.
#pragma once

#include "engines/lanes/lane_rows.hpp"
#include "engines/lanes/product.hpp"
#include "network/normalization.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Results of a forward and backward pass, per layer: layer.outputs(rows).
template <class T>
struct Activity {
  using V = Vec<T>;
  template <class E>
  using PerLayer = std::array<E, kMaxLayers>;

  PerLayer<V*> h{};   ///< outputs
  PerLayer<V*> s{};   ///< where the activation's derivatives are taken: its inputs u, or h
  PerLayer<V*> d{};   ///< gradient on z, the affine map's outputs
  PerLayer<V*> du{};  ///< gradient on u: apart from d where a normalisation stands between
  PerLayer<V*> dh{};  ///< gradient on h; apart from du only where a second derivative wants it
  PerLayer<normalization::Layer<V>> norms{};
  T delta_scale = 1;  ///< factor in d, du and dh since the last step or product

  static Activity carve(const Shapes& shapes, Index most_rows, bool gradients, Arena& arena);
};

/// Tangents that a Hessian-vector product keeps: of h, of u (which is z without normalisation), of
/// d, and of the normalisation's own buffers.
template <class T>
struct Tangents {
  using V = Vec<T>;
  std::array<V*, kMaxLayers> rh{}, rz{}, rd{}, r_xhat{}, r_log_scale{};
  /// The part of v in the lowest layer's b, [fan_out]; null: v's own.
  const V* lowest_bias = nullptr;

  static Tangents carve(const Shapes& shapes, Index most_rows, Arena& arena);
};

/// Outputs of layer `first` and all above; the last layer's are activity.h[depth - 1].
template <class T, class B>
void forward(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
             const Activity<T>& activity, int first = 0);

/// The gradients on z of all layers below the last. Needs `forward`, and the gradient on the last
/// outputs in place.
template <class T, class B>
void deltas(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
            const Activity<T>& activity);

/// `to` = the gradient on the parameters of layer `first` and above; with `add`, the gradient is
/// added to `to`. Needs `forward`, and the gradient on the last outputs in place.
template <class T, class B>
void gradient(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
              const Activity<T>& activity, bool add, Vec<T>* to, int first = 0);

/// `to` = theta - rates[l] * gradient in layer l, with the same needs as `gradient`. Without rates
/// the deltas hold the factor minus the rate already. `to` may be theta: a layer's parameters are
/// written after their last use.
template <class T, class B>
void descend(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
             const Activity<T>& activity, const T* rates, Vec<T>* to);

/// to = from + delta_scale * Hessian . v, over the parameters of layer `first` and above. Needs
/// `gradient`, `descend` or `deltas` at the same theta. A null `from` stands for 0; `to` may be
/// `from` but not v. The tangent of the gradient on the outputs below layer `first` is added to
/// `below_first`, unless that is null.
template <class T, class B>
void hessian_vector(const Shapes& shapes, const B* theta, const LaneRows<T>& rows,
                    const Activity<T>& activity, const Vec<T>* v, const Tangents<T>& tangents,
                    const Vec<T>* from, Vec<T>* to, int first = 0, Vec<T>* below_first = nullptr);

/// The gradients on u and on z of a layer, from the gradient on its outputs. That gradient lies in
/// `du`, where the gradient on u replaces it.
template <class T, class B>
void through_layer(const Shapes& shapes, const B* theta, int layer, const LaneRows<T>& rows,
                   const Activity<T>& activity);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
