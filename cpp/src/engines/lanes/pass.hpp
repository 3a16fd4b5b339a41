// Forward and backward through the network, for one group of tasks and one piece of its rows.
//
// Parameters are packed vectors (packing.hpp). Their elements, B, are packs, or scalars while all
// tasks share them. What starts at layer `first` finds the outputs of the layers below in place:
// where these do not adapt, they are the same at every step.
#pragma once

#include "engines/lanes/lane_rows.hpp"
#include "engines/lanes/product.hpp"
#include "network/normalization.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// What a forward and backward pass leaves behind, per layer: layer.outputs(rows).
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
  T delta_scale = 1;  ///< of d, du and dh, as the last step or product left them

  static Activity carve(const Plan& plan, Index most_rows, bool gradients, Arena& arena);
};

/// What a Hessian-vector product keeps on the way: tangents of h, u (which is z where the layer is
/// not normalised), d, and of what the normalisation keeps.
template <class T>
struct Tangents {
  using V = Vec<T>;
  std::array<V*, kMaxLayers> rh{}, rz{}, rd{}, r_xhat{}, r_log_scale{};
  /// The lowest layer's b-part of v, where not v's own: [fan_out].
  const V* lowest_bias = nullptr;

  static Tangents carve(const Plan& plan, Index most_rows, Arena& arena);
};

/// Outputs of layer `first` and all above; the last layer's are activity.h[depth - 1].
template <class T, class B>
void forward(const Plan& plan, const B* theta, const LaneRows<T>& rows, const Activity<T>& activity,
             int first = 0);

/// After `forward`, and with the gradient on the last outputs in place: the gradients on z of all
/// layers below, and nothing else.
template <class T, class B>
void deltas(const Plan& plan, const B* theta, const LaneRows<T>& rows, const Activity<T>& activity);

/// After `forward`, and with the gradient on the last outputs in place: `to` = the gradient on the
/// parameters of layer `first` and above, or that much more where `add`.
template <class T, class B>
void gradient(const Plan& plan, const B* theta, const LaneRows<T>& rows,
              const Activity<T>& activity, bool add, Vec<T>* to, int first = 0);

/// In the same place: `to` = theta - rates[l] * gradient in layer l; without rates, minus the rate
/// is in the deltas already. `to` may be theta: a layer's parameters are written after their last
/// use.
template <class T, class B>
void descend(const Plan& plan, const B* theta, const LaneRows<T>& rows, const Activity<T>& activity,
             const T* rates, Vec<T>* to);

/// After `gradient`, `descend` or `deltas` at the same theta: to = from + Hessian . v, times the
/// scale of the deltas, `from` being 0 where null. `to` is not v, but may be `from`. From layer
/// `first` on; the tangent of the gradient on the outputs of the layer below it is added to
/// `below_first`, unless that is null.
template <class T, class B>
void hessian_vector(const Plan& plan, const B* theta, const LaneRows<T>& rows,
                    const Activity<T>& activity, const Vec<T>* v, const Tangents<T>& tangents,
                    const Vec<T>* from, Vec<T>* to, int first = 0, Vec<T>* below_first = nullptr);

/// The gradients on u, in place, and on z of a layer from that on its outputs, which lies in `du`.
template <class T, class B>
void through_layer(const Plan& plan, const B* theta, int layer, const LaneRows<T>& rows,
                   const Activity<T>& activity);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
