// The closed form of one task's head, and the gradient through it. In float64 whatever the call's
// dtype is.
//
// With Z = D Phi R, D the roots of the rows' weights, E = Y - Phi W0 and W = W0 + R U:
//   by the features' side   U = (I + Z'Z)^-1 Z' D E
//   by the rows' side       U = Z' (I + Z Z')^-1 D E
// The smaller system is solved, by Cholesky. A row of features psi = phi R has the variance
// v = psi (I + Z'Z)^-1 psi' = |psi|^2 - (Z psi')' (I + Z Z')^-1 (Z psi'), times the noise's.
#pragma once

#include <Eigen/Cholesky>

#include "engines/reference/head_factor.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

class HeadSystem {
 public:
  using Rows = Matrix<double>;
  using ConstRows = ConstMatrix<double>;

  /// Takes buffers for m features, so many outputs, and at most so many rows of both sets.
  HeadSystem(const inner::HeadSpec& spec, Index m, Index outputs, Index rows, Index queries,
             Arena& arena)
      : m_(m), n_(outputs), factor_(spec, m, arena) {
    const Index side = std::min(rows, m), longest = std::max({rows, queries, m, outputs});
    const auto take = [&](Index count) { return arena.take<double>(count); };
    phi_ = take(rows * m);
    z_ = take(rows * m);
    z_bar_ = take(rows * m);
    phi_bar_ = take(rows * m);
    roots_ = take(rows);
    error_ = take(rows * outputs);
    t_ = take(rows * outputs);
    co_error_ = take(rows * outputs);
    w0_ = take(m * outputs);
    u_ = take(m * outputs);
    w_ = take(m * outputs);
    w_bar_ = take(m * outputs);
    w0_bar_ = take(m * outputs);
    one_ = take(m * outputs);
    other_ = take(m * outputs);
    system_ = take(side * side);
    system_bar_ = take(side * side);
    query_ = take(queries * m);
    query_bar_ = take(queries * m);
    psi_ = take(queries * m);
    psi_bar_ = take(queries * m);
    seen_ = take(side * queries);
    solved_ = take(side * queries);
    scratch_ = take(longest * m);
  }

  [[nodiscard]] HeadFactor& factor() { return factor_; }
  /// A set of so many rows is next; fill in `features`, `roots`, `targets` and `start`.
  void open(Index rows) {
    k_ = rows;
    by_rows_ = rows < m_;
  }
  Rows features() { return {phi_, k_, m_}; }
  double* roots() { return roots_; }
  Rows targets() { return {error_, k_, n_}; }  ///< become their distance from Phi W0
  Rows start() { return {w0_, m_, n_}; }
  Rows weights() { return {w_, m_, n_}; }

  /// After all is filled in.
  void begin() { targets().noalias() -= features() * start(); }

  /// W of outputs `first` … and the system of their rows' weights; false if that is not positive
  /// definite, or not finite.
  bool solve(Index first, Index count) {
    at_ = first;
    g_ = count;
    Rows z(z_, k_, m_);
    factor_.times(ConstRows(phi_, k_, m_), z);
    z.array().colwise() *= Roots(roots_, k_).array();
    Rows s = system();
    if (by_rows_) {
      s.noalias() = z * z.transpose();
    } else {
      s.noalias() = z.transpose() * z;
    }
    s.diagonal().array() += 1;
    if (!s.diagonal().allFinite())
      return false;  // what is infinite has a factor, of another system
    Eigen::LLT<Eigen::Ref<Square>> llt(s);
    if (llt.info() != Eigen::Success) return false;
    Rows t(t_, k_, g_), u(u_, m_, g_);
    t = targets().middleCols(at_, g_).array().colwise() * Roots(roots_, k_).array();
    if (by_rows_) {
      divide(t);
      u.noalias() = z.transpose() * t;
    } else {
      u.noalias() = z.transpose() * t;
      divide(u);
    }
    Rows ru(one_, g_, m_), moved(other_, g_, m_);  // (R U)' = U' R'
    ru = u.transpose();
    factor_.times_transposed(ConstRows(one_, g_, m_), moved);
    weights().middleCols(at_, g_) = start().middleCols(at_, g_) + moved.transpose();
    return true;
  }

  /// Query rows are next; fill in `query`.
  void open_query(Index rows) { q_ = rows; }
  Rows query() { return {query_, q_, m_}; }
  /// v of every query row, after solve.
  void variances(double* v) {
    see_query();
    const Rows psi(psi_, q_, m_), seen(seen_, side(), q_), solved(solved_, side(), q_);
    for (Index q = 0; q < q_; ++q) {
      const double along = seen.col(q).dot(solved.col(q));
      v[q] = by_rows_ ? std::max(0.0, psi.row(q).squaredNorm() - along) : along;
    }
  }
  /// The same before any row was seen.
  void prior_variances(double* v) {
    const Rows psi(psi_, q_, m_);
    factor_.times(ConstRows(query_, q_, m_), psi);
    for (Index q = 0; q < q_; ++q) v[q] = psi.row(q).squaredNorm();
  }

  // Gradients: clear, then for every group of outputs solve, pull back. Those on the features, W0
  // and R are added up.
  void clear_gradients() {
    std::fill_n(phi_bar_, k_ * m_, 0.0);
    std::fill_n(query_bar_, q_ * m_, 0.0);
    std::fill_n(w0_bar_, m_ * n_, 0.0);
    factor_.clear_gradient();
  }
  Rows weights_gradient() { return {w_bar_, m_, n_}; }  ///< to be filled in
  Rows query_gradient() { return {query_bar_, q_, m_}; }
  Rows features_gradient() { return {phi_bar_, k_, m_}; }
  Rows start_gradient() { return {w0_bar_, m_, n_}; }

  /// From the gradient on the variances of the group's outputs to the query features', W and A held
  /// constant; `exact` also to the system and to R, for pull_back, which must follow.
  void pull_back_variances(const double* v_bar, bool exact) {
    see_query();
    const Rows psi(psi_, q_, m_), seen(seen_, side(), q_), solved(solved_, side(), q_);
    const Rows z(z_, k_, m_);
    Rows psi_bar(psi_bar_, q_, m_);
    const Roots v(v_bar, q_);
    if (exact) clear_system_gradient();
    if (by_rows_) {
      psi_bar.noalias() = solved.transpose() * z;
      psi_bar = 2 * ((psi - psi_bar).array().colwise() * v.array());
    } else {
      psi_bar = 2 * (solved.transpose().array().colwise() * v.array());
    }
    if (exact) {
      Rows scaled(seen_, side(), q_);  // what was seen is not needed again
      scaled = solved.array().rowwise() * v.transpose().array();
      if (by_rows_) {
        Rows(z_bar_, k_, m_).noalias() -= (2 * scaled) * psi;
        system_gradient().noalias() += scaled * solved.transpose();
      } else {
        system_gradient().noalias() -= scaled * solved.transpose();
      }
      factor_.add_gradient(ConstRows(query_, q_, m_), ConstRows(psi_bar_, q_, m_));
    }
    const Rows moved(scratch_, q_, m_);
    factor_.times_transposed(ConstRows(psi_bar_, q_, m_), moved);
    query_gradient() += moved;
  }
  void clear_system_gradient() {
    std::fill_n(z_bar_, k_ * m_, 0.0);
    system_gradient().setZero();
  }

  /// From the gradient on the group's W to the features, W0 and R. Before it: solve, and
  /// clear_system_gradient or pull_back_variances.
  void pull_back() {
    const auto w_bar = weights_gradient().middleCols(at_, g_);
    const Rows z(z_, k_, m_), t(t_, k_, g_), u(u_, m_, g_);
    Rows z_bar(z_bar_, k_, m_), co_error(co_error_, k_, g_), u_bar(one_, g_, m_);
    {
      Rows w_bar_rows(other_, g_, m_), u_rows(scratch_, g_, m_);
      w_bar_rows = w_bar.transpose();
      u_rows = u.transpose();
      factor_.add_gradient(ConstRows(other_, g_, m_), ConstRows(scratch_, g_, m_));
      factor_.times(ConstRows(other_, g_, m_), u_bar);  // (R' W_bar)' = W_bar' R
    }
    if (by_rows_) {
      z_bar.noalias() += t * u_bar;
      co_error.noalias() = z * u_bar.transpose();
      divide(co_error);
      symmetric(co_error, t);
      z_bar.noalias() += (2 * system_gradient()) * z;
    } else {
      Rows g(other_, m_, g_);
      g = u_bar.transpose();
      divide(g);
      z_bar.noalias() += t * g.transpose();  // t is D E, as solve left it
      co_error.noalias() = z * g;
      symmetric(g, u);
      z_bar.noalias() += (2 * z) * system_gradient();
    }
    const Roots d(roots_, k_);
    z_bar.array().colwise() *= d.array();
    co_error.array().colwise() *= d.array();
    factor_.add_gradient(ConstRows(phi_, k_, m_), ConstRows(z_bar_, k_, m_));
    const Rows moved(scratch_, k_, m_);
    factor_.times_transposed(ConstRows(z_bar_, k_, m_), moved);
    features_gradient() += moved;
    features_gradient().noalias() -= co_error * start().middleCols(at_, g_).transpose();
    start_gradient().middleCols(at_, g_) += w_bar;
    start_gradient().middleCols(at_, g_).noalias() -= features().transpose() * co_error;
  }

 private:
  using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Roots = Eigen::Map<const Eigen::VectorXd>;

  [[nodiscard]] Index side() const { return by_rows_ ? k_ : m_; }
  Rows system() { return {system_, side(), side()}; }
  Rows system_gradient() { return {system_bar_, side(), side()}; }
  /// x = system^-1 x, by the factor that solve left.
  template <class X>
  void divide(X& x) {
    const auto lower = system().template triangularView<Eigen::Lower>();
    lower.solveInPlace(x);
    lower.transpose().solveInPlace(x);
  }
  /// psi, what the system sees of them, and that divided.
  void see_query() {
    Rows psi(psi_, q_, m_), seen(seen_, side(), q_), solved(solved_, side(), q_);
    factor_.times(ConstRows(query_, q_, m_), psi);
    if (by_rows_) {
      seen.noalias() = Rows(z_, k_, m_) * psi.transpose();
    } else {
      seen = psi.transpose();
    }
    solved = seen;
    divide(solved);
  }
  /// The system's gradient gets -(a b' + b a') / 2.
  void symmetric(const Rows& a, const Rows& b) {
    system_gradient().noalias() -= (0.5 * a) * b.transpose();
    system_gradient().noalias() -= (0.5 * b) * a.transpose();
  }

  Index m_, n_;
  Index k_ = 0, q_ = 0;
  Index at_ = 0, g_ = 0;  ///< the outputs of the system that stands
  bool by_rows_ = false;
  HeadFactor factor_;
  double *phi_, *z_, *z_bar_, *phi_bar_, *roots_, *error_, *t_, *co_error_;
  double *w0_, *u_, *w_, *w_bar_, *w0_bar_, *one_, *other_;
  double *system_, *system_bar_;
  double *query_, *query_bar_, *psi_, *psi_bar_, *seen_, *solved_, *scratch_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
