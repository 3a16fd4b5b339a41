// V's factor R as matrices: what is learned, read into it, and gradients on it, read back.
#pragma once

#include "engines/reference/row_sums.hpp"
#include "inner/head.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Of m features. A diagonal is m numbers, a full factor [m, m] with zeros above the diagonal.
class HeadFactor {
 public:
  HeadFactor(const inner::HeadSpec& spec, Index m, Arena& arena)
      : spec_(spec), m_(m), full_(spec.prior == inner::Prior::full) {
    r_ = arena.take<double>(full_ ? m * m : m);
    gradient_ = arena.take<double>(full_ ? m * m : m);
  }

  template <class T>
  void read(const T* from) {
    if (!full_) {
      const bool one = spec_.prior == inner::Prior::scalar;
      for (Index i = 0; i < m_; ++i) r_[i] = std::exp(static_cast<double>(from[one ? 0 : i]));
      return;
    }
    for (Index row = 0; row < m_; ++row) {
      double* const to = r_ + row * m_;
      for (Index column = 0; column < row; ++column) to[column] = static_cast<double>(*from++);
      to[row] = std::exp(static_cast<double>(*from++));
      std::fill(to + row + 1, to + m_, 0.0);
    }
  }

  /// to = x R, for x [rows, m].
  void times(const ConstMatrix<double>& x, Matrix<double> to) const {
    if (full_) {
      to.noalias() = x * factor();
    } else {
      to = x.array().rowwise() * diagonal().array();
    }
  }
  /// to = x R'.
  void times_transposed(const ConstMatrix<double>& x, Matrix<double> to) const {
    if (full_) {
      to.noalias() = x * factor().transpose();
    } else {
      to = x.array().rowwise() * diagonal().array();
    }
  }

  void clear_gradient() const { std::fill_n(gradient_, full_ ? m_ * m_ : m_, 0.0); }
  /// The gradient on R gets a' b, for a and b [rows, m].
  void add_gradient(const ConstMatrix<double>& a, const ConstMatrix<double>& b) const {
    if (full_) {
      Matrix<double>(gradient_, m_, m_).noalias() += a.transpose() * b;
    } else {
      Row<double>(gradient_, m_) += a.cwiseProduct(b).colwise().sum();
    }
  }
  /// The gradient on what is learned.
  template <class T>
  void write_gradient(T* to) const {
    if (spec_.prior == inner::Prior::scalar) {
      double sum = 0;
      for (Index i = 0; i < m_; ++i) sum += gradient_[i] * r_[i];
      *to = static_cast<T>(sum);
      return;
    }
    for (Index row = 0; row < m_; ++row) {
      if (full_) {
        for (Index column = 0; column < row; ++column) {
          *to++ = static_cast<T>(gradient_[row * m_ + column]);
        }
      }
      const Index at = full_ ? row * m_ + row : row;
      *to++ = static_cast<T>(gradient_[at] * r_[at]);
    }
  }

 private:
  [[nodiscard]] ConstMatrix<double> factor() const { return {r_, m_, m_}; }
  [[nodiscard]] ConstRow<double> diagonal() const { return {r_, m_}; }

  inner::HeadSpec spec_;
  Index m_;
  bool full_;
  double *r_ = nullptr, *gradient_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
