// Matrices as Eigen maps, and sums over their rows. Those of many rows are cut into blocks
// (kernels/compensated.hpp).
#pragma once

#include <Eigen/Core>

#include "base/arena.hpp"
#include "base/watch.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
using Matrix = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
template <class T>
using ConstMatrix =
    Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
template <class T>
using ConstRow = Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>;
template <class T>
using Row = Eigen::Map<Eigen::Matrix<T, 1, Eigen::Dynamic>>;

template <class T>
class RowSums {
 public:
  /// Takes buffers for products of at most `largest` numbers over at most `rows` rows; `adds` for
  /// add_product.
  void carve(Index rows, Index largest, bool adds, Arena& arena) {
    if (rows <= kFewTerms) return;
    if (adds) sum_ = arena.take<T>(largest);
    block_ = arena.take<T>(largest);
    error_ = arena.take<T>(largest);
  }

  /// sum = the sum of d's rows.
  void columns(const ConstMatrix<T>& d, Row<T> sum) const {
    if (d.rows() <= kFewTerms) {
      sum = d.colwise().sum();
      return;
    }
    for (Index j = 0; j < d.cols(); ++j) {
      sum[j] = sum_of<T>(d.rows(), [&](Index row) { return d(row, j); });
    }
  }

  /// sum = a' b.
  void product(const ConstMatrix<T>& a, const ConstMatrix<T>& b, Matrix<T> sum) const {
    if (a.rows() <= kFewTerms) {
      sum.noalias() = a.transpose() * b;
      return;
    }
    Matrix<T> block(block_, a.cols(), b.cols());
    sum.setZero();
    std::fill_n(error_, sum.size(), T(0));
    Watch& watch = Watch::of_thread();
    const Index work = 2 * kBlockTerms * sum.size();
    for (Index first = 0; first < a.rows() && !watch.stopped(work); first += kBlockTerms) {
      const Index count = std::min(kBlockTerms, a.rows() - first);
      block.noalias() = a.middleRows(first, count).transpose() * b.middleRows(first, count);
      add_compensated<T>(block_, sum.size(), T(1), sum.data(), error_);
    }
  }

  /// sum += a' b.
  void add_product(const ConstMatrix<T>& a, const ConstMatrix<T>& b, Matrix<T> sum) const {
    if (a.rows() <= kFewTerms) {
      sum.noalias() += a.transpose() * b;
      return;
    }
    const Matrix<T> apart(sum_, sum.rows(), sum.cols());
    product(a, b, apart);
    sum += apart;
  }

 private:
  // Where there are many rows: a sum over them, of a block of them, and what adding the blocks up
  // has lost.
  T *sum_ = nullptr, *block_ = nullptr, *error_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
