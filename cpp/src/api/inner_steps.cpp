#include "api/inner_steps.hpp"

#include "engines/adapted_of.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// What an algorithm adapts of flat vectors, and at which rates.
template <class T>
class FlatCall {
 public:
  FlatCall(const Network& net, const Algorithm& algorithm, const Argument& rates)
      : at_(algorithm, net, rates), problem_(of(net, at_, call_)), adapted_(problem_, call_) {}
  [[nodiscard]] const AlgorithmSpec& spec() const { return problem_.algorithm; }
  [[nodiscard]] const inner::Adapted<T>& operator*() const { return *adapted_; }
  [[nodiscard]] Index n_rates() const { return problem_.n_rates(); }

 private:
  static Problem of(const Network& net, const AlgorithmAt<T>& at, Call<T>& call) {
    Problem problem{.net = net.spec, .layout = net.layout};
    at.fill(problem, call);
    return problem;
  }
  AlgorithmAt<T> at_;
  Call<T> call_;
  Problem problem_;
  FlatAdapted<T> adapted_;
};

template <class T>
inner::Before<T> before(const InnerPoint<T>& point, Index task, Index size, Index states) {
  const Index place = task * size;
  return {point.thetas + place, point.anchors + place, point.gradients + place,
          point.states + place * states};
}

}  // namespace

template <class T>
void inner_step(const Algorithm& algorithm, const Network& net, const Argument& rates,
                const InnerPoint<T>& point, T* thetas, T* states) {
  const FlatCall<T> adapted(net, algorithm, rates);
  const Index size = net.n_params(), n_states = adapted.spec().inner.states();
  std::copy_n(point.thetas, point.tasks * size, thetas);  // what does not adapt
  std::copy_n(point.states, point.tasks * n_states * size, states);
  for (Index t = 0; t < point.tasks; ++t) {
    inner::take_step<T>(adapted.spec().inner, *adapted, point.k, before(point, t, size, n_states),
                        thetas + t * size, states + t * n_states * size);
  }
}

template <class T>
Index rate_cotangents(const Algorithm& algorithm, const Network& net, const Argument& rates) {
  return FlatCall<T>(net, algorithm, rates).n_rates();
}

template <class T>
void inner_pullback(const Algorithm& algorithm, const Network& net, const Argument& rates,
                    const InnerPoint<T>& point, bool exact, const InnerCotangents<T>& to) {
  const FlatCall<T> adapted(net, algorithm, rates);
  const Index size = net.n_params(), n_states = adapted.spec().inner.states();
  const Index n_rates = adapted.n_rates();
  std::fill_n(to.gradients, point.tasks * size, T(0));
  std::fill_n(to.anchors, point.tasks * size, T(0));
  std::fill_n(to.rates, point.tasks * n_rates, T(0));
  for (Index t = 0; t < point.tasks; ++t) {
    inner::pull_back_step<T>(
        adapted.spec().inner, *adapted, point.k, before(point, t, size, n_states), exact,
        {to.thetas + t * size, to.states + t * n_states * size, to.gradients + t * size,
         to.anchors + t * size, adapted.spec().learns_rates ? to.rates + t * n_rates : nullptr});
  }
}

#define FOMAML_FAST_INSTANTIATE(T)                                                     \
  template void inner_step(const Algorithm&, const Network&, const Argument&,          \
                           const InnerPoint<T>&, T*, T*);                              \
  template void inner_pullback(const Algorithm&, const Network&, const Argument&,      \
                               const InnerPoint<T>&, bool, const InnerCotangents<T>&); \
  template Index rate_cotangents<T>(const Algorithm&, const Network&, const Argument&);
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::api
