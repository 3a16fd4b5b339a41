#include "inner/step.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

namespace {

template <class V>
bool all_finite_lanes(V x) {
  const V defect = x - x;
  if constexpr (is_scalar_pack<V>) {
    return defect == 0;
  } else {
    Element<V> total = 0;
    for (int lane = 0; lane < kLanes<Element<V>>; ++lane) total += defect[lane];
    return total == 0;
  }
}

// Exact, and small enough for the squares of the largest numbers.
template <class T>
constexpr T kShrink = sizeof(T) == sizeof(float) ? T(0x1p-80) : T(0x1p-600);

/// ||x|| over a task's adapted parameters, also where the squares overflow.
template <class V>
V norm_of(const Adapted<V>& adapted, const V* x) {
  const V plain = math::sqrt(adapted.dot(x, x));
  if (all_finite_lanes(plain)) return plain;
  const V shrink = broadcast<V>(kShrink<Element<V>>);
  V squared{};
  adapted.for_each([&](Index i) { squared += (shrink * x[i]) * (shrink * x[i]); });
  const V safe = math::sqrt(adapted.over_task(squared)) / shrink;
  return select(plain - plain == V{}, plain, safe);
}

/// Clipping of the support gradient: g times min(1, c / ||g||), and its Jacobian.
template <class V>
class Clip {
 public:
  Clip(const Spec& spec, const Adapted<V>& adapted, const V* gradient) {
    if (spec.clip_norm == 0) return;
    active_ = true;
    norm_ = norm_of(adapted, gradient);
    const V most = constant<V>(spec.clip_norm);
    // NaN clips nothing and comes through.
    factor_ = select(norm_ > most, most / norm_, broadcast<V>(1));
  }
  [[nodiscard]] bool active() const { return active_; }
  FOMAML_FAST_INLINE V operator()(V g) const { return active_ ? factor_ * g : g; }

  /// v = J' v with J = f (I - g g' / ||g||^2) where clipped, I elsewhere.
  void pull_back(const Adapted<V>& adapted, const V* gradient, V* v) const {
    const V one = broadcast<V>(1);
    const auto clipped = factor_ < one;
    const V along = adapted.dot(gradient, v) / norm_ / norm_;
    adapted.for_each(
        [&](Index i) { v[i] = select(clipped, factor_ * (v[i] - along * gradient[i]), v[i]); });
  }

 private:
  bool active_ = false;
  V norm_{}, factor_{};
};

/// The decay and the pull, as packs.
template <class V>
struct Terms {
  explicit Terms(const Spec& spec)
      : decays(spec.weight_decay != 0),
        pulls(spec.proximal != 0),
        shrinks(spec.decoupled_weight_decay != 0),
        decay(constant<V>(spec.weight_decay)),
        pull(constant<V>(spec.proximal)),
        shrink(constant<V>(spec.decoupled_weight_decay)) {}

  /// g' from the (clipped) g.
  FOMAML_FAST_INLINE V gradient(V g, const Before<V>& before, Index i) const {
    if (decays) g += decay * before.theta[i];
    if (pulls) g += pull * (before.theta[i] - before.anchor[i]);
    return g;
  }
  bool decays, pulls, shrinks;
  V decay, pull, shrink;
};

/// The state of one pack, out of [states, size].
template <class V, int kMost>
struct State {
  V value[kMost > 0 ? kMost : 1]{};
  FOMAML_FAST_INLINE State(const V* all, int states, Index size, Index i) {
    for (int s = 0; s < states; ++s) value[s] = all[s * size + i];
  }
  FOMAML_FAST_INLINE void put(V* all, int states, Index size, Index i) const {
    for (int s = 0; s < states; ++s) all[s * size + i] = value[s];
  }
};

/// The rates of one segment's packs.
template <class V>
class SegmentRates {
 public:
  SegmentRates(const Adapted<V>& adapted, int k, const Segment& segment)
      : adapted_(adapted), per_parameter_(adapted.rates.per_parameter != nullptr) {
    if (!per_parameter_) {
      common_ = broadcast<V>(adapted.rates.table[adapted.rates.place(k, segment.layer)]);
    }
  }
  FOMAML_FAST_INLINE V operator[](Index i) const {
    return per_parameter_ ? adapted_.parameter_rate(i) : common_;
  }
  [[nodiscard]] bool per_parameter() const { return per_parameter_; }

 private:
  const Adapted<V>& adapted_;
  bool per_parameter_;
  V common_{};
};

/// One pass over what adapts, for one optimiser: the pullback (exact), and -co_theta d to the
/// cotangents of the rates, where they are learned.
template <bool kExact, bool kRates, class Optimizer, class V>
void pull_back_packs(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
                     const Clip<V>& clip, const Cotangents<V>& co) {
  const typename Optimizer::template At<V> at(spec.parameters, k + 1);
  const Terms<V> terms(spec);
  const int states = Optimizer::states(spec.parameters);
  // The first step starts at the anchor: what it hands to both would cancel.
  const bool pulls = terms.pulls && k > 0;
  for (int s = 0; s < adapted.count; ++s) {
    const Segment& segment = adapted.segments[s];
    const SegmentRates<V> rates(adapted, k, segment);
    V share{};
    for (Index i = segment.first; i < segment.last; ++i) {
      const State<V, Optimizer::kStates> own(before.state, states, adapted.size, i);
      const V g = terms.gradient(clip(before.gradient[i]), before, i);
      if constexpr (kRates) {
        State<V, Optimizer::kStates> next = own;
        V d = at.direction(g, next.value);
        if (terms.shrinks) d += terms.shrink * before.theta[i];
        if (rates.per_parameter()) {
          co.rate[i] -= co.theta[i] * d;
        } else {
          share += co.theta[i] * d;
        }
      }
      if constexpr (kExact) {
        State<V, Optimizer::kStates> back(co.state, states, adapted.size, i);
        const V co_direction = -rates[i] * co.theta[i];
        const V v = at.pullback(co_direction, g, own.value, back.value);
        back.put(co.state, states, adapted.size, i);
        if (terms.decays) co.theta[i] += terms.decay * v;
        if (pulls) {
          co.theta[i] += terms.pull * v;
          co.anchor[i] -= terms.pull * v;
        }
        if (terms.shrinks) co.theta[i] += terms.shrink * co_direction;
        co.gradient[i] = v;
      }
    }
    if (kRates && !rates.per_parameter()) {
      co.rate[adapted.rates.place(k, segment.layer)] -= adapted.over_task(share);
    }
  }
}

}  // namespace

template <class V>
void take_step(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
               V* theta, V* state) {
  const Clip<V> clip(spec, adapted, before.gradient);
  const Terms<V> terms(spec);
  visit_inner(spec.id, [&]<class Optimizer>(Optimizer) {
    const typename Optimizer::template At<V> at(spec.parameters, k + 1);
    const int states = Optimizer::states(spec.parameters);
    for (int s = 0; s < adapted.count; ++s) {
      const Segment& segment = adapted.segments[s];
      const SegmentRates<V> rates(adapted, k, segment);
      for (Index i = segment.first; i < segment.last; ++i) {
        State<V, Optimizer::kStates> own(before.state, states, adapted.size, i);
        V d = at.direction(terms.gradient(clip(before.gradient[i]), before, i), own.value);
        if (terms.shrinks) d += terms.shrink * before.theta[i];
        own.put(state, states, adapted.size, i);
        theta[i] = before.theta[i] - rates[i] * d;
      }
    }
  });
}

template <class V>
void pull_back_step(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
                    bool exact, const Cotangents<V>& co) {
  if (!exact && co.rate == nullptr) return;
  const Clip<V> clip(spec, adapted, before.gradient);
  visit_inner(spec.id, [&]<class Optimizer>(Optimizer) {
    if (!exact) {
      pull_back_packs<false, true, Optimizer>(spec, adapted, k, before, clip, co);
    } else if (co.rate != nullptr) {
      pull_back_packs<true, true, Optimizer>(spec, adapted, k, before, clip, co);
    } else {
      pull_back_packs<true, false, Optimizer>(spec, adapted, k, before, clip, co);
    }
  });
  if (exact && clip.active()) clip.pull_back(adapted, before.gradient, co.gradient);
}

#define FOMAML_FAST_INSTANTIATE(V)                                                             \
  template void take_step<V>(const Spec&, const Adapted<V>&, int, const Before<V>&, V*, V*);   \
  template void pull_back_step<V>(const Spec&, const Adapted<V>&, int, const Before<V>&, bool, \
                                  const Cotangents<V>&);
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
FOMAML_FAST_INSTANTIATE(Vec<float>)
FOMAML_FAST_INSTANTIATE(Vec<double>)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::inner
