// The last layer adapted in closed form: Bayesian linear regression on the last hidden layer's
// outputs with a 1 behind them (Harrison, Sharma & Pavone 2018; ridge: Bertinetto et al. 2019).
//
// Row i, output j: y_ij = phi_i w_j + noise of variance s_j^2 / c_i, and w_j ~ N(w0_j, s_j^2 V)
// with V = R R'. What is learned beside theta stands in one vector:
//   R                one number (its logarithm), m of them, or the lower triangle row by row, of
//                    which the diagonal's are logarithms
//   log s            one an output
//   scale, shift     where outputs are scores of classes: w becomes scale w, plus shift in the bias
#pragma once

#include <cmath>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// The shape of V's factor R.
enum class Prior : std::uint8_t { none, scalar, diagonal, full };
inline constexpr const char* kPriorNames[] = {"none", "scalar", "diagonal", "full"};

/// `prior` none: the last layer is not adapted so.
struct HeadSpec {
  Prior prior = Prior::none;
  double prior_variance = 1, noise = 1;  ///< of a fresh state
  double score_scale = 0;                ///< the same; 0: outputs are no scores
  bool zero_mean = false;                ///< w0 is 0 instead of theta's last layer
  bool predictive = false;  ///< the query loss is the predictive distribution's: Gaussian NLL

  [[nodiscard]] bool given() const { return prior != Prior::none; }
  [[nodiscard]] bool scores() const { return score_scale != 0; }
  /// Numbers in R, of m features.
  [[nodiscard]] Index n_factor(Index m) const {
    return prior == Prior::full ? m * (m + 1) / 2 : prior == Prior::diagonal ? m : 1;
  }
  [[nodiscard]] Index n_numbers(Index m, Index outputs) const {
    return given() ? n_factor(m) + outputs + (scores() ? 2 : 0) : 0;
  }

  /// Writes the numbers of a fresh state.
  template <class T>
  void start(Index m, Index outputs, T* to) const {
    const T log_factor = static_cast<T>(0.5 * std::log(prior_variance));
    if (prior == Prior::full) {
      for (Index row = 0; row < m; ++row) {
        for (Index column = 0; column < row; ++column) *to++ = T(0);
        *to++ = log_factor;
      }
    } else {
      for (Index i = n_factor(m); i > 0; --i) *to++ = log_factor;
    }
    for (Index j = 0; j < outputs; ++j) *to++ = static_cast<T>(std::log(noise));
    if (!scores()) return;
    *to++ = static_cast<T>(score_scale);
    *to = T(0);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
