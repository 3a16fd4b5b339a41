// The posterior of one task's head, to which rows are added one by one.
#pragma once

#include <Eigen/Cholesky>

#include "base/finite.hpp"
#include "engines/reference/head_factor.hpp"
#include "inner/head_update.hpp"
#include "inner/predictive.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
class OnlineHead {
 public:
  /// `groups`: 1, or as many as outputs where each has weights of its own.
  OnlineHead(const inner::HeadSpec& spec, Index m, Index outputs, Index groups, Arena& arena)
      : spec_(spec), m_(m), n_(outputs), groups_(groups), factor_(spec, m, arena) {
    root_ = arena.take<T>(groups * m * m);
    w_ = arena.take<T>(m * outputs);
    start_ = arena.take<T>(m * outputs);
    seen_ = arena.take<double>(groups * m * m);
    sums_ = arena.take<double>(m * outputs);
    system_ = arena.take<double>(m * m);
    square_ = arena.take<double>(std::max(m, Index{2}) * m);
    f_ = arena.take<T>(m);
    gain_ = arena.take<T>(m);
    noise_ = arena.take<double>(outputs);
  }

  /// Before any row: `numbers` as inner/head.hpp lists them, `start` is W0 [m, n_L] or null for 0.
  /// False where R or s is not finite, or s 0.
  bool begin(const T* numbers, const T* start) {
    factor_.read(numbers);
    for (Index j = 0; j < n_; ++j) {
      noise_[j] = std::exp(static_cast<double>(numbers[spec_.n_factor(m_) + j]));
    }
    if (start == nullptr) {
      std::fill_n(start_, m_ * n_, T(0));
    } else {
      std::copy_n(start, m_ * n_, start_);
    }
    std::copy_n(start_, m_ * n_, w_);
    std::fill_n(seen_, groups_ * m_ * m_, 0.0);
    std::fill_n(sums_, m_ * n_, 0.0);
    Matrix<double> identity(square_, m_, m_), r(system_, m_, m_);
    identity.setIdentity();
    factor_.times(ConstMatrix<double>(square_, m_, m_), r);
    for (Index g = 0; g < groups_; ++g) std::copy_n(system_, m_ * m_, root(g));
    const auto positive = [](double s) { return s > 0 && s - s == 0; };
    return all_finite(root(0), m_ * m_) && std::all_of(noise_, noise_ + n_, positive);
  }

  /// A row phi [m] with targets y [n_L] and the weight of every group. What was seen before counts
  /// `forget` times.
  bool update(const T* phi, const T* y, const T* weights, double forget) {
    bool finite = true;
    if (forget < 1) {
      for (Index i = 0; i < groups_ * m_ * m_; ++i) seen_[i] *= forget;
      for (Index i = 0; i < m_ * n_; ++i) sums_[i] *= forget;
    }
    const Index each = groups_ == 1 ? n_ : 1;
    for (Index g = 0; g < groups_; ++g) {
      if (weights[g] != T(0)) remember(g, each, phi, y, static_cast<double>(weights[g]));
      if (forget < 1) {
        finite = solve(g, each) && finite;
      } else {
        finite = finite && inner::update_root(m_, each, n_, phi, y + g, weights[g], root(g), w_ + g,
                                              f_, gain_);
      }
    }
    return finite;
  }

  /// `f` is room for m numbers.
  void predict(const T* phi, T* mean, T* deviation, T* f) const {
    for (Index j = 0; j < n_; ++j) {
      T sum = 0;
      for (Index i = 0; i < m_; ++i) sum += phi[i] * w_[i * n_ + j];
      mean[j] = sum;
    }
    if (deviation == nullptr) return;
    double v = 0;
    for (Index j = 0; j < n_; ++j) {
      if (j < groups_) v = static_cast<double>(inner::see(m_, root(j), phi, f));
      deviation[j] = static_cast<T>(inner::deviation(noise_[j], v));
    }
  }

  [[nodiscard]] const T* weights() const { return w_; }
  [[nodiscard]] T* root(Index group) const { return root_ + group * m_ * m_; }
  [[nodiscard]] double noise(Index output) const { return noise_[output]; }

 private:
  /// The data's sums, of which forgetting starts anew: Phi' C Phi and Phi' C (Y - Phi W0).
  void remember(Index g, Index each, const T* phi, const T* y, double c) {
    for (Index i = 0; i < m_; ++i) {
      const double scaled = c * static_cast<double>(phi[i]);
      double* const row = seen_ + (g * m_ + i) * m_;
      for (Index k = 0; k < m_; ++k) row[k] += scaled * static_cast<double>(phi[k]);
    }
    for (Index j = g; j < g + each; ++j) {
      double error = static_cast<double>(y[j]);
      for (Index i = 0; i < m_; ++i) {
        error -= static_cast<double>(phi[i]) * static_cast<double>(start_[i * n_ + j]);
      }
      for (Index i = 0; i < m_; ++i) {
        sums_[i * n_ + j] += c * error * static_cast<double>(phi[i]);
      }
    }
  }

  /// S = R L'^-1 of I + R' seen R = L L', and W = W0 + S S' sums.
  bool solve(Index g, Index each) {
    using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    Matrix<double> system(system_, m_, m_), square(square_, m_, m_);
    factor_.times(ConstMatrix<double>(seen_ + g * m_ * m_, m_, m_), square);  // seen R
    system = square.transpose();                                              // R' seen
    factor_.times(ConstMatrix<double>(system_, m_, m_), square);              // R' seen R
    system = square;
    system.diagonal().array() += 1;
    if (!system.diagonal().allFinite()) return false;
    const Eigen::LLT<Eigen::Ref<Square>> llt(system);  // positive definite: it is I and more
    square.setIdentity();
    system.template triangularView<Eigen::Lower>().solveInPlace(square);  // L^-1
    Matrix<double> root_rows(system_, m_, m_);  // factored and divided by, it is not needed again
    factor_.times_transposed(ConstMatrix<double>(square_, m_, m_), root_rows);  // L^-1 R' = S'
    for (Index i = 0; i < m_; ++i) {
      for (Index k = 0; k < m_; ++k) root(g)[i * m_ + k] = static_cast<T>(root_rows(k, i));
    }
    for (Index j = g; j < g + each; ++j) {
      const Eigen::Map<const Eigen::VectorXd, 0, Eigen::InnerStride<>> sums(
          sums_ + j, m_, Eigen::InnerStride<>(n_));
      Eigen::Map<Eigen::VectorXd> half(square_, m_), moved(square_ + m_, m_);
      half.noalias() = root_rows * sums;
      moved.noalias() = root_rows.transpose() * half;
      for (Index i = 0; i < m_; ++i) {
        w_[i * n_ + j] = start_[i * n_ + j] + static_cast<T>(moved[i]);
      }
    }
    return all_finite(root(g), m_ * m_) && all_finite(w_, m_ * n_);
  }
  inner::HeadSpec spec_;
  Index m_, n_, groups_;
  HeadFactor factor_;
  T *root_, *w_, *start_, *f_, *gain_;
  double *seen_, *sums_, *system_, *square_, *noise_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
