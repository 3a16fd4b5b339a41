// Outer steps: in place or not, vector body and scalar tail, clipping.
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "outer/step.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

/// All parameters in one part.
class Whole {
 public:
  Whole(Index count, double lr) : part_{0, count, lr, true} {}
  operator OuterParts() const { return {&part_, 1}; }

 private:
  OuterPart part_;
};

template <class T>
void tail_and_body_agree(const OuterSpec& spec) {
  // The same element everywhere: each must move alike, wherever the vector body ends.
  for (const Index count : {1, 7, 16, 17, 33}) {
    const auto n = static_cast<std::size_t>(count);
    const auto m = static_cast<std::size_t>(outer_moments(spec)) * n;
    std::vector<T> theta(n, T(0.5)), grad(n, T(-0.25)), moments(m), place = theta, held = moments;
    std::vector<T> stepped(n), kept(m);
    for (Index t = 1; t <= 3; ++t) {
      outer_step(spec, Whole(count, 0.1), t, theta.data(), grad.data(), moments.data(),
                 stepped.data(), kept.data());
      outer_step(spec, Whole(count, 0.1), t, place.data(), grad.data(), held.data(), place.data(),
                 held.data());
      theta = stepped;
      moments = kept;
    }
    CHECK(theta == place);
    CHECK(moments == held);
    for (const T value : theta) CHECK(std::abs(value - theta[0]) < 1e-6);
    CHECK(theta[0] > T(0.5));
  }
}

void clipping_scales_to_the_norm() {
  OuterSpec spec;
  spec.clip_norm = 1;
  const std::vector<double> theta(2), grad{3, 4}, none;
  std::vector<double> stepped(2);
  const double norm = outer_step(spec, Whole(2, 1.0), 1, theta.data(), grad.data(), none.data(),
                                 stepped.data(), static_cast<double*>(nullptr));
  CHECK(std::abs(norm - 5) < 1e-15);
  CHECK(std::abs(stepped[0] + 0.6) < 1e-6 && std::abs(stepped[1] + 0.8) < 1e-6);
}

/// Gradients that are 0, or whose squares are, and one that is not.
template <class T>
void adam_rests_where_root_and_eps_are_0() {
  const T tiny = std::numeric_limits<T>::min();
  for (const OuterId id : {OuterId::adam, OuterId::adamw}) {
    OuterSpec spec;
    spec.id = id;
    spec.parameters.value = {0.9, 0.999, 0, 0, 0};
    std::vector<T> theta(19, T(0.5)), grad(19), moments(38);
    grad[1] = tiny;
    grad[2] = grad[18] = 1;
    outer_step(spec, Whole(19, 0.1), 1, theta.data(), grad.data(), moments.data(), theta.data(),
               moments.data());
    for (std::size_t i = 0; i < theta.size(); ++i) {
      CHECK(std::abs(theta[i] - (grad[i] == 1 ? T(0.4) : T(0.5))) < T(1e-6));
    }
  }
}

void what_does_not_move_stays_and_counts_nowhere() {
  OuterSpec spec;
  spec.id = OuterId::adam;
  visit_outer(spec.id, [&]<class O>(O) { spec.parameters = default_parameters<O>(); });
  const std::vector<double> theta(21, 0.5), moments(42, 0.25);
  std::vector<double> grad(21, 1e300), stepped(21), kept(42);
  for (const std::size_t i : {3, 4, 20}) grad[i] = i == 20 ? 4 : 3 / std::sqrt(2.0);
  const OuterPart parts[] = {
      {0, 3, 0.1, false}, {3, 5, 0.1, true}, {5, 20, 0.1, false}, {20, 21, 0.2, true}};
  const double norm = outer_step(spec, {parts, 4}, 1, theta.data(), grad.data(), moments.data(),
                                 stepped.data(), kept.data());
  CHECK(std::abs(norm - 5) < 1e-14);
  for (std::size_t i = 0; i < 21; ++i) {
    const bool moves = i == 3 || i == 4 || i == 20;
    CHECK((stepped[i] != theta[i]) == moves);
    CHECK((kept[i] != moments[i]) == moves && (kept[21 + i] != moments[21 + i]) == moves);
  }
}

}  // namespace

int main() {
  for (const OuterId id : {
#define FOMAML_FAST_OUTER(identifier, Struct) OuterId::identifier,
#include "outer/registry.def"
#undef FOMAML_FAST_OUTER
       }) {
    OuterSpec spec;
    spec.id = id;
    visit_outer(id, [&]<class O>(O) {
      spec.parameters = default_parameters<O>();
      tail_and_body_agree<float>(spec);
      tail_and_body_agree<double>(spec);
      // What is off by default, on.
      for (double& value : spec.parameters.value) value = value == 0 ? 0.01 : value;
    });
    tail_and_body_agree<float>(spec);
    tail_and_body_agree<double>(spec);
  }
  adam_rests_where_root_and_eps_are_0<float>();
  adam_rests_where_root_and_eps_are_0<double>();
  clipping_scales_to_the_norm();
  what_does_not_move_stays_and_counts_nowhere();
  return check::report();
}
