// Activations, losses and optimisers: derivatives against differences, packs against scalars.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/finite.hpp"
#include "check.hpp"
#include "inner/registry.hpp"
#include "kernels/compensated.hpp"
#include "network/spec.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

constexpr double kStep = 1e-5;

bool close(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * (1 + std::abs(a) + std::abs(b));
}

/// Options for a test: the defaults, or each moved off it.
template <class S>
Parameters options_for(double moved) {
  Parameters parameters = default_parameters<S>();
  for (std::size_t i = 0; i < options_of<S>().size(); ++i) parameters.value[i] += moved;
  return parameters;
}

template <class A>
void activation_derivatives_match_differences(double moved) {
  const A a = make_with<A>(options_for<A>(moved));
  const auto at = [&](double z) { return a.needs_input ? z : a.apply(z); };
  for (const double z : {-6.0, -1.3, -0.2, 0.7, 2.5, 9.0}) {
    const double slope = (a.apply(z + kStep) - a.apply(z - kStep)) / (2 * kStep);
    const double bend = (a.d1(at(z + kStep)) - a.d1(at(z - kStep))) / (2 * kStep);
    CHECK(close(a.d1(at(z)), slope, 1e-8));
    CHECK(close(a.d2(at(z)), bend, 1e-8));
    if constexpr (A::curved) {
      const double third = (a.d2(at(z + kStep)) - a.d2(at(z - kStep))) / (2 * kStep);
      const double fourth = (a.d3(at(z + kStep)) - a.d3(at(z - kStep))) / (2 * kStep);
      CHECK(close(a.d3(at(z)), third, 1e-8));
      CHECK(close(a.d4(at(z)), fourth, 1e-8));
    }
  }
  CHECK(std::isnan(a.apply(std::numeric_limits<double>::quiet_NaN())));
}

template <class A, class T>
void activation_packs_match_scalars(double moved) {
  const A a = make_with<A>(options_for<A>(moved));
  const T tolerance = 50 * std::numeric_limits<T>::epsilon();
  const T tolerance2 = 10000 * std::numeric_limits<T>::epsilon();  // 1 - tanh^2 cancels in gelu's
  for (T start = -20; start < 20; start += T(0.37)) {
    Vec<T> z{};
    for (int i = 0; i < kLanes<T>; ++i) z[i] = start + T(0.01) * static_cast<T>(i);
    const Vec<T> h = a.apply(z), s = a.needs_input ? z : h, d1 = a.d1(s), d2 = a.d2(s);
    for (int i = 0; i < kLanes<T>; ++i) {
      const T scalar = a.apply(z[i]), at = a.needs_input ? z[i] : scalar;
      CHECK(close(h[i], scalar, tolerance));
      CHECK(close(d1[i], a.d1(at), tolerance));
      CHECK(close(d2[i], a.d2(at), tolerance2));
    }
  }
  Vec<T> nan{};
  nan[0] = std::numeric_limits<T>::quiet_NaN();
  const Vec<T> h = a.apply(nan);
  CHECK(h[0] != h[0]);
  for (int i = 1; i < kLanes<T>; ++i) CHECK(h[i] == h[i]);
}

template <class L>
void loss_derivatives_match_differences() {
  const L loss = make_with<L>(options_for<L>(-0.2));
  for (const Index n : {1, 2, 5, 9}) {
    std::vector<double> o, y, ro, d(static_cast<std::size_t>(n)), rd = d, up = d, down = d;
    for (Index j = 0; j < n; ++j) {
      o.push_back(std::sin(1.7 * static_cast<double>(j)) * 2);
      y.push_back(std::cos(2.3 * static_cast<double>(j)));
      ro.push_back(std::cos(0.9 * static_cast<double>(j)) - 0.3);
    }
    if (L::targets == Targets::labels) y[0] = static_cast<double>(n - 1);
    const double value = loss.gradient(o.data(), y.data(), n, d.data());
    CHECK(close(value, loss.value(o.data(), y.data(), n), 1e-14));
    loss.hessian_vector(o.data(), y.data(), ro.data(), n, rd.data());
    const auto moved = [&](double step) {
      std::vector<double> at = o;
      for (std::size_t j = 0; j < at.size(); ++j) at[j] += step * ro[j];
      return at;
    };
    const auto above = moved(kStep), below = moved(-kStep);
    const double rise = loss.gradient(above.data(), y.data(), n, up.data()) -
                        loss.gradient(below.data(), y.data(), n, down.data());
    double slope = 0;
    for (std::size_t j = 0; j < o.size(); ++j) {
      slope += d[j] * ro[j];
      CHECK(close(rd[j], (up[j] - down[j]) / (2 * kStep), 1e-8));
    }
    CHECK(close(slope, rise / (2 * kStep), 1e-8));
  }
}

void cross_entropy_survives_large_outputs() {
  const double o[] = {1000, -1000, 999}, label[] = {2};
  double d[3];
  const double value = losses::CrossEntropy::gradient(o, label, 3, d);
  CHECK(close(value, 1 + std::log1p(std::exp(-1.0)), 1e-14));
  CHECK(close(d[0] + d[1] + d[2], 0, 1e-14));
}

/// Every cotangent that a pullback gives, against differences of the direction and the new state.
template <class O>
void inner_pullback_matches_differences() {
  Parameters parameters = default_parameters<O>();
  // Defaults leave branches out: zeros become something, eps large enough to matter.
  for (double& value : parameters.value) value = value < 1e-3 ? 0.2 : value;
  const int states = O::states(parameters);
  constexpr double g = -1.9, co_direction = 1.1;
  double state[O::kStates + 1], co_next[O::kStates + 1];
  for (int s = 0; s < states; ++s) {
    state[s] = 0.3 + 4 * (s == 0);
    co_next[s] = 0.7 - s;
  }
  const typename O::template At<double> at(parameters, 2);
  const auto value = [&](int moved, double by) {
    double next[O::kStates + 1];
    std::copy_n(state, states, next);
    if (moved > 0) next[moved - 1] += by;
    double sum = co_direction * at.direction(moved == 0 ? g + by : g, next);
    for (int s = 0; s < states; ++s) sum += co_next[s] * next[s];
    return sum;
  };
  double co_state[O::kStates + 1];
  std::copy_n(co_next, states, co_state);
  const double co_g = at.pullback(co_direction, g, state, co_state);
  for (int moved = 0; moved <= states; ++moved) {
    const double slope = (value(moved, kStep) - value(moved, -kStep)) / (2 * kStep);
    CHECK(close(moved == 0 ? co_g : co_state[moved - 1], slope, 1e-8));
  }
}

/// At g = 0 with nothing in the state, every root is 0: nothing may become infinite.
template <class O, class V>
void inner_pullback_is_finite_at_zero() {
  const Parameters parameters = default_parameters<O>();
  const typename O::template At<V> at(parameters, 1);
  V state[O::kStates + 1]{}, co_state[O::kStates + 1]{};
  for (const V g : {V{}, broadcast<V>(static_cast<Element<V>>(1e-30))}) {
    const V back = at.pullback(broadcast<V>(1), g, state, co_state);
    CHECK(all_finite(reinterpret_cast<const Element<V>*>(&back), sizeof(V) / sizeof(Element<V>)));
  }
}

template <class T>
void compensated_sum_is_exact_to_an_ulp() {
  CompensatedSum<T> sum;
  T naive = 0;
  constexpr int kTerms = 100000;
  for (int i = 0; i < kTerms; ++i) {
    sum.add(T(0.1));
    naive += T(0.1);
  }
  const T exact = static_cast<T>(static_cast<double>(T(0.1)) * kTerms);
  const T ulp = exact * std::numeric_limits<T>::epsilon();
  CHECK(std::abs(sum.value() - exact) <= 2 * ulp);
  CHECK(std::abs(naive - exact) > 2 * ulp || sizeof(T) == sizeof(double));
  sum.add(std::numeric_limits<T>::infinity());
  CHECK(std::isinf(sum.value()));
}

}  // namespace

int main() {
  for (const double moved : {0.0, 0.4, -1.7}) {
#define FOMAML_FAST_ACTIVATION(identifier, Struct)                      \
  activation_derivatives_match_differences<activations::Struct>(moved); \
  activation_packs_match_scalars<activations::Struct, float>(moved);    \
  activation_packs_match_scalars<activations::Struct, double>(moved);
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
  }
#define FOMAML_FAST_LOSS(identifier, Struct) loss_derivatives_match_differences<losses::Struct>();
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
#define FOMAML_FAST_INNER(identifier, Struct)               \
  inner_pullback_matches_differences<inner::Struct>();      \
  inner_pullback_is_finite_at_zero<inner::Struct, float>(); \
  inner_pullback_is_finite_at_zero<inner::Struct, Vec<double>>();
#include "inner/registry.def"
#undef FOMAML_FAST_INNER
  cross_entropy_survives_large_outputs();
  compensated_sum_is_exact_to_an_ulp<float>();
  compensated_sum_is_exact_to_an_ulp<double>();
  return check::report();
}
