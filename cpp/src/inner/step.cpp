#include "inner/step.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

namespace {

/// Clipping of the support gradient: g times min(1, c / ||g||), and its Jacobian. The norm is that
/// of gradients brought close to 1, whose squares neither overflow nor vanish.
template <class V>
class Clip {
 public:
  Clip(const Spec& spec, const Adapted<V>& adapted, const V* gradient) {
    if (spec.clip_norm == 0) return;
    active_ = true;
    const V scale = math::power_of_two_against(adapted.largest(gradient));
    norm_ = math::sqrt(adapted.sum([&](Index i) {
      const V g = scale * gradient[i];
      return g * g;
    }));
    const V most = constant<V>(spec.clip_norm), one = broadcast<V>(1);
    // NaN clips nothing and comes through.
    clipped_ = select(norm_ / scale > most, one, V{});
    scale_ = select(clipped_ == one, scale, one);
    factor_ = select(clipped_ == one, most / norm_, one);
  }
  [[nodiscard]] bool active() const { return active_; }
  FOMAML_FAST_INLINE V operator()(V g) const { return active_ ? factor_ * (scale_ * g) : g; }

  /// v = J' v with J = f (I - g g' / ||g||^2) where clipped, I elsewhere.
  void pull_back(const Adapted<V>& adapted, const V* gradient, V* v) const {
    const auto unit = [&](Index i) { return (scale_ * gradient[i]) / norm_; };
    const V along = adapted.sum([&](Index i) { return unit(i) * v[i]; });
    const auto clipped = clipped_ != V{};
    adapted.for_each([&](Index i) {
      v[i] = select(clipped, factor_ * (scale_ * (v[i] - along * unit(i))), v[i]);
    });
  }

 private:
  bool active_ = false;
  V clipped_{};  ///< 1 where the gradient is clipped
  V scale_{}, norm_{}, factor_{};
};

/// What is added to any optimiser, as packs. Most runs clip, decay and pull nothing: their loops
/// (`kFull` false) hold nothing of it.
template <class V, bool kFull>
class Terms {
 public:
  Terms(const Spec& spec, const Clip<V>& clip, const Before<V>& before)
      : decay(constant<V>(spec.weight_decay)),
        pull(constant<V>(spec.proximal)),
        shrink(constant<V>(spec.decoupled_weight_decay)),
        decays(spec.weight_decay != 0),
        pulls(spec.proximal != 0),
        shrinks(spec.decoupled_weight_decay != 0),
        clip_(clip),
        before_(before) {}

  /// g' of pack i.
  [[nodiscard]] FOMAML_FAST_INLINE V gradient(Index i) const {
    V g = before_.gradient[i];
    if constexpr (kFull) {
      g = clip_(g);
      if (decays) g += decay * before_.theta[i];
      if (pulls) g += pull * (before_.theta[i] - before_.anchor[i]);
    }
    return g;
  }
  /// What the rate multiplies, given the optimiser's direction.
  [[nodiscard]] FOMAML_FAST_INLINE V shrunk(V direction, Index i) const {
    if constexpr (kFull) {
      if (shrinks) direction += shrink * before_.theta[i];
    }
    return direction;
  }

  V decay, pull, shrink;
  bool decays, pulls, shrinks;

 private:
  Clip<V> clip_;
  Before<V> before_;
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

/// The rates of one segment's packs: one of each parameter (`kEach`), or one of all.
template <class V, bool kEach>
class SegmentRates {
 public:
  SegmentRates(const Adapted<V>& adapted, int k, const Segment& segment) : adapted_(adapted) {
    if constexpr (!kEach) {
      common_ = broadcast<V>(adapted.rates.table[adapted.rates.place(k, segment.layer)]);
    }
  }
  FOMAML_FAST_INLINE V operator[](Index i) const {
    return kEach ? adapted_.parameter_rate(i) : common_;
  }

 private:
  Adapted<V> adapted_;
  V common_{};
};

/// Calls body(full, each) with what the loops must hold, as constants.
template <class V, class Body>
void with_form(const Spec& spec, const Adapted<V>& adapted, Body&& body) {
  const bool full = spec.has_terms();
  const bool each = adapted.rates.per_parameter != nullptr;
  using std::false_type, std::true_type;
  if (full) return each ? body(true_type{}, true_type{}) : body(true_type{}, false_type{});
  return each ? body(false_type{}, true_type{}) : body(false_type{}, false_type{});
}

template <class Optimizer, bool kFull, bool kEach, class V>
void step_packs(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
                const Clip<V>& clip, V* theta, V* state) {
  const typename Optimizer::template At<V> at(spec.parameters, k + 1);
  const Terms<V, kFull> terms(spec, clip, before);
  const int states = Optimizer::states(spec.parameters);
  const V *const from = before.theta, *const old = before.state;
  const Index size = adapted.size;
  for (int s = 0; s < adapted.count; ++s) {
    const Segment segment = adapted.segments[s];
    const SegmentRates<V, kEach> rates(adapted, k, segment);
    for (Index i = segment.first; i < segment.last; ++i) {
      State<V, Optimizer::kStates> own(old, states, size, i);
      const V direction = at.direction(terms.gradient(i), own.value);
      own.put(state, states, size, i);
      theta[i] = from[i] - rates[i] * terms.shrunk(direction, i);
    }
  }
}

/// One pass over what adapts, for one optimiser: the pullback (exact), and -co_theta d to the
/// cotangents of the rates, where they are learned.
template <bool kExact, bool kRates, class Optimizer, bool kFull, bool kEach, class V>
void pull_back_packs(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
                     const Clip<V>& clip, const Cotangents<V>& cotangents) {
  const typename Optimizer::template At<V> at(spec.parameters, k + 1);
  const Terms<V, kFull> terms(spec, clip, before);
  const int states = Optimizer::states(spec.parameters);
  const V* const old = before.state;
  const Index size = adapted.size;
  const Cotangents<V> co = cotangents;
  // The first step starts at the anchor: what it hands to both would cancel.
  const bool pulls = terms.pulls && k > 0;
  for (int s = 0; s < adapted.count; ++s) {
    const Segment segment = adapted.segments[s];
    const SegmentRates<V, kEach> rates(adapted, k, segment);
    V share{};
    CompensatedSum<V> shares;
    for (Index i = segment.first; i < segment.last; ++i) {
      const State<V, Optimizer::kStates> own(old, states, size, i);
      const V g = terms.gradient(i);
      if constexpr (kRates) {
        State<V, Optimizer::kStates> next = own;
        const V d = terms.shrunk(at.direction(g, next.value), i);
        if constexpr (kEach) {
          co.rate[i] -= co.theta[i] * d;
        } else {
          share += co.theta[i] * d;
          if ((i - segment.first) % kBlockTerms == kBlockTerms - 1) {
            shares.add(share);
            share = V{};
          }
        }
      }
      if constexpr (kExact) {
        State<V, Optimizer::kStates> back(co.state, states, size, i);
        const V co_direction = -rates[i] * co.theta[i];
        const V v = at.pullback(co_direction, g, own.value, back.value);
        back.put(co.state, states, size, i);
        if constexpr (kFull) {
          if (terms.decays) co.theta[i] += terms.decay * v;
          if (pulls) {
            co.theta[i] += terms.pull * v;
            co.anchor[i] -= terms.pull * v;
          }
          if (terms.shrinks) co.theta[i] += terms.shrink * co_direction;
        }
        co.gradient[i] = v;
      }
    }
    if (kRates && !kEach) {
      shares.add(share);
      co.rate[adapted.rates.place(k, segment.layer)] -= adapted.over_task(shares.value());
    }
  }
}

}  // namespace

template <class V>
void take_step(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
               V* theta, V* state) {
  const Clip<V> clip(spec, adapted, before.gradient);
  visit_inner(spec.id, [&]<class Optimizer>(Optimizer) {
    with_form(spec, adapted,
              [&]<bool kFull, bool kEach>(std::bool_constant<kFull>, std::bool_constant<kEach>) {
                step_packs<Optimizer, kFull, kEach>(spec, adapted, k, before, clip, theta, state);
              });
  });
}

template <class V>
void pull_back_step(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
                    bool exact, const Cotangents<V>& co) {
  if (!exact && co.rate == nullptr) return;
  const Clip<V> clip(spec, adapted, before.gradient);
  visit_inner(spec.id, [&]<class Optimizer>(Optimizer) {
    with_form(spec, adapted,
              [&]<bool kFull, bool kEach>(std::bool_constant<kFull>, std::bool_constant<kEach>) {
                const auto pull_back = [&]<bool kExact, bool kRates>() {
                  pull_back_packs<kExact, kRates, Optimizer, kFull, kEach>(spec, adapted, k, before,
                                                                           clip, co);
                };
                if (!exact) {
                  pull_back.template operator()<false, true>();
                } else if (co.rate != nullptr) {
                  pull_back.template operator()<true, true>();
                } else {
                  pull_back.template operator()<true, false>();
                }
              });
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
