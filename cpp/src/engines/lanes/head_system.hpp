// The closed form of the heads of a few tasks, one a lane, and the ways back through it. In float64
// whatever the call's dtype is: products of features with each other square their condition.
//
// With phi R = z for the rows of the support and psi for those of the query, D the roots of the
// rows' weights, Z = D z, E the targets' distance from what w0 predicts, and A = I + Z'Z (of the
// prior's units):
//   U = A^-1 Z'D E          the weights are W0 + R U
//   v = psi A^-1 psi'       a query row's variance, times the noise's
// Where there are fewer rows than features S = I + ZZ' is solved instead: A^-1 Z' = Z'S^-1 and
// psi A^-1 psi' = |psi|^2 - (Z psi')' S^-1 (Z psi'). From the gradient on U, u, and that on v both
// sides give the same ways back (matrix calculus on the two lines above):
//   psi gets P = 2 v_bar A^-1 psi'
//   D E gets C = Z G        G = A^-1 u
//   Z   gets (DE - Z U) G' - C U' - (Z A^-1 psi') P'
#pragma once

#include "base/arena.hpp"
#include "engines/lanes/row_sums.hpp"
#include "engines/lanes/wide.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

class HeadSystem {
 public:
  /// Takes buffers for m features, so many outputs, and at most so many rows of both sets.
  HeadSystem(Index m, Index outputs, Index rows, Index queries, Arena& arena);

  /// A support of so many rows is next; fill in `z`, `roots` and `errors`, and `psi` of the query's
  /// rows whose variances are wanted.
  void open(Index rows, Index queries) {
    k_ = rows;
    q_ = queries;
    by_rows_ = rows < m_;
  }
  /// [rows, m], [queries, m].
  [[nodiscard]] Grid z_grid() const { return {k_, m_, stride_}; }
  [[nodiscard]] Grid psi_grid() const { return {q_, m_, stride_}; }
  [[nodiscard]] Wide* z() const { return z_; }
  [[nodiscard]] Wide* psi() const { return psi_; }
  [[nodiscard]] Wide* roots() const { return roots_; }   ///< [rows]
  [[nodiscard]] Wide* errors() const { return alpha_; }  ///< [rows, outputs of this system]

  /// U of so many outputs, which share the rows' weights; NaN where A is not positive definite or
  /// not finite.
  void solve(Index outputs);
  [[nodiscard]] const Wide* u() const { return u_; }          ///< [m, outputs]
  [[nodiscard]] const Wide* alpha() const { return alpha_; }  ///< DE - Z U, [rows, outputs]

  /// v of the query rows, after solve.
  const Wide* variances();
  /// After variances: P [queries, m] from the gradient on v, which is to be filled in; with `rows`,
  /// Z A^-1 psi' too.
  [[nodiscard]] Wide* variances_gradient() const { return v_; }
  void pull_back_variances(bool rows);
  [[nodiscard]] const Wide* psi_gradient() const { return psi_bar_; }
  [[nodiscard]] const Wide* rows_seen() const { return by_rows_ ? solved_ : seen_rows_; }

  /// G and C from the gradient on U, which is to be filled in.
  [[nodiscard]] Wide* u_gradient() const { return g_; }
  void pull_back();
  [[nodiscard]] const Wide* g() const { return g_; }               ///< [m, outputs]
  [[nodiscard]] const Wide* error_gradient() const { return c_; }  ///< C [rows, outputs]

 private:
  [[nodiscard]] Index side() const { return by_rows_ ? k_ : m_; }
  void factorise();
  /// x [side, columns] = system^-1 x.
  void divide(Wide* x, Index columns) const;

  Index m_, stride_;
  Index k_ = 0, q_ = 0, n_ = 0;
  bool by_rows_ = false;
  Wide *z_, *weighted_, *psi_, *psi_bar_;
  Wide *roots_, *alpha_, *c_, *u_, *g_, *v_;
  Wide* system_;     ///< its factor L, after solve, below the diagonal
  Wide* over_;       ///< 1 / L_ii
  Wide* solved_;     ///< system^-1 of what it sees of the query rows, [side, queries]
  Wide* seen_rows_;  ///< Z A^-1 psi', [rows, queries], where the system is of the features
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
