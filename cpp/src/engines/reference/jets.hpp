// Jets of one task's outputs over Eigen maps: forward, backward, and the R-operator of both.
//
// Taylor mode (Griewank & Walther 2008, chapter 13): a row is `streams` rows, of which the first
// alone meets the biases, and every layer is one product over all of them.
#pragma once

#include "engines/engine.hpp"
#include "engines/reference/jet_activation.hpp"
#include "engines/reference/row_sums.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
class Jets {
 public:
  /// Rows that are computed together: a function of sizes alone, as results are.
  static Index block(const Problem& problem) {
    constexpr Index kFewest = 16, kMost = 256;
    const Index work = 2 * problem.layout.n_params * problem.jet.streams();
    return std::min(std::clamp(Watch::kLongest / work, kFewest, kMost), problem.support.longest);
  }

  /// Takes its buffers for a block of rows; with `tangents`, those of the R-operator too.
  Jets(const Problem& problem, bool tangents, Arena& arena)
      : net_(problem.net), layout_(problem.layout), jet_(problem.jet) {
    const Index rows = block(problem) * jet_.streams();
    Index widest = net_.fan_in(0), largest = 0;
    for (int l = 0; l < net_.depth; ++l) {
      const Index size = rows * net_.fan_out(l);
      widest = std::max(widest, net_.fan_out(l));
      largest = std::max(largest, net_.fan_in(l) * net_.fan_out(l));
      of(z_, l) = arena.take<T>(size);
      of(h_, l) = net_.is_last(l) ? of(z_, l) : arena.take<T>(size);
      if (!tangents) continue;
      of(rz_, l) = arena.take<T>(size);
      of(rh_, l) = net_.is_last(l) ? of(rz_, l) : arena.take<T>(size);
    }
    x_ = arena.take<T>(rows * net_.inputs());
    for (T*& side : d_) side = arena.take<T>(rows * widest);
    if (tangents) {
      for (T*& side : rd_) side = arena.take<T>(rows * widest);
    }
    sums_.carve(rows, largest, tangents, arena);
  }

  /// Jets [count, streams, n_L] at theta.
  const T* forward(const T* theta, const T* x, const T* directions, Index count) {
    lay_out(x, directions, count);
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> z = on(z_, l, count);
      z.noalias() = input(l, count) * weight(theta, l);
      add_bias(theta, l, z, count);
      if (net_.is_last(l)) break;
      for_each_row(l, count, [&](const auto& a, Index at) {
        apply_jet(a, jet_, net_.fan_out(l), of(z_, l) + at, of(h_, l) + at);
      });
    }
    return of(z_, net_.depth - 1);
  }

  /// Gradient over theta of the jets' cotangents, after forward.
  void backward(const T* theta, const T* cotangents, Index count, T* g) {
    T *d = d_[0], *next = d_[1];
    std::copy_n(cotangents, count * jet_.streams() * net_.outputs(), d);
    for (int l = net_.depth - 1; l >= 0; --l) {
      const ConstMatrix<T> delta = rows_of(d, count, net_.fan_out(l));
      sums_.product(input(l, count), delta, weight(g, l));
      sum_values(d, l, count, next, g);
      if (l == 0) break;
      Matrix<T> back(next, delta.rows(), net_.fan_in(l));
      back.noalias() = delta * weight(theta, l).transpose();
      for_each_row(l - 1, count, [&](const auto& a, Index at) {
        pull_back_jet(a, jet_, net_.fan_in(l), of(z_, l - 1) + at, of(h_, l - 1) + at, next + at);
      });
      std::swap(d, next);
    }
  }

  /// R of the jets along v, after forward.
  const T* push_forward(const T* theta, const T* v, Index count) {
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> rz = on(rz_, l, count);
      rz.noalias() = input(l, count) * weight(v, l);
      if (l > 0) rz.noalias() += input_tangent(l, count) * weight(theta, l);
      add_bias(v, l, rz, count);
      if (net_.is_last(l)) break;
      for_each_row(l, count, [&](const auto& a, Index at) {
        apply_jet_tangent(a, jet_, net_.fan_out(l), of(z_, l) + at, of(h_, l) + at, of(rz_, l) + at,
                          of(rh_, l) + at);
      });
    }
    return of(rz_, net_.depth - 1);
  }

  /// R of backward's result along v, where the cotangents c have the tangents rc; after
  /// push_forward.
  void backward_tangent(const T* theta, const T* c, const T* rc, const T* v, Index count, T* rg) {
    T *d = d_[0], *next = d_[1], *rd = rd_[0], *r_next = rd_[1];
    const Index size = count * jet_.streams() * net_.outputs();
    std::copy_n(c, size, d);
    std::copy_n(rc, size, rd);
    for (int l = net_.depth - 1; l >= 0; --l) {
      const ConstMatrix<T> delta = rows_of(d, count, net_.fan_out(l)),
                           r_delta = rows_of(rd, count, net_.fan_out(l));
      sums_.product(input(l, count), r_delta, weight(rg, l));
      sum_values(rd, l, count, r_next, rg);
      if (l == 0) break;
      sums_.add_product(input_tangent(l, count), delta, weight(rg, l));
      Matrix<T> back(next, delta.rows(), net_.fan_in(l)), r_back(r_next, delta.rows(), back.cols());
      back.noalias() = delta * weight(theta, l).transpose();
      r_back.noalias() = r_delta * weight(theta, l).transpose();
      r_back.noalias() += delta * weight(v, l).transpose();
      for_each_row(l - 1, count, [&](const auto& a, Index at) {
        pull_back_jet_tangent(a, jet_, net_.fan_in(l), of(z_, l - 1) + at, of(h_, l - 1) + at,
                              of(rz_, l - 1) + at, next + at, r_next + at);
      });
      std::swap(d, next);
      std::swap(rd, r_next);
    }
  }

 private:
  using Slots = std::array<T*, kMaxLayers>;
  static T*& of(Slots& slots, int l) { return slots[NetworkSpec::at(l)]; }

  /// Rows of all streams, of so many columns.
  ConstMatrix<T> rows_of(const T* at, Index count, Index columns) const {
    return {at, count * jet_.streams(), columns};
  }
  Matrix<T> on(Slots& slots, int l, Index count) const {
    return {of(slots, l), count * jet_.streams(), net_.fan_out(l)};
  }
  ConstMatrix<T> input(int l, Index count) {
    return rows_of(l == 0 ? x_ : of(h_, l - 1), count, net_.fan_in(l));
  }
  /// Of layer 0 none: theta does not move its inputs.
  ConstMatrix<T> input_tangent(int l, Index count) {
    return rows_of(of(rh_, l - 1), count, net_.fan_in(l));
  }
  ConstMatrix<T> weight(const T* theta, int l) const {
    return {theta + layout_.layer(net_, l).weight, net_.fan_in(l), net_.fan_out(l)};
  }
  Matrix<T> weight(T* theta, int l) const {
    return {theta + layout_.layer(net_, l).weight, net_.fan_in(l), net_.fan_out(l)};
  }

  /// The inputs' own jets: x, the directions, and 0.
  void lay_out(const T* x, const T* directions, Index count) {
    const Index n = net_.inputs(), along = jet_.directions * n;
    T* to = x_;
    for (Index row = 0; row < count; ++row) {
      to = std::copy_n(x + row * n, n, to);
      to = std::copy_n(directions, along, to);
      if (jet_.order == 2) to = std::fill_n(to, along, T(0));
    }
  }
  /// A constant: the values alone move with it.
  void add_bias(const T* theta, int l, Matrix<T>& z, Index count) const {
    const ConstRow<T> bias(theta + layout_.layer(net_, l).bias, net_.fan_out(l));
    for (Index row = 0; row < count; ++row) z.row(row * jet_.streams()) += bias;
  }
  /// The bias's gradient: the deltas of the values, summed. `room` is written.
  void sum_values(const T* d, int l, Index count, T* room, T* g) const {
    const Index n = net_.fan_out(l);
    for (Index row = 0; row < count; ++row) {
      std::copy_n(d + row * jet_.streams() * n, n, room + row * n);
    }
    sums_.columns(ConstMatrix<T>(room, count, n), Row<T>(g + layout_.layer(net_, l).bias, n));
  }
  /// Calls body(activation, place) for every row of a hidden layer.
  template <class Body>
  void for_each_row(int l, Index count, Body&& body) const {
    const Index stride = jet_.streams() * net_.fan_out(l);
    visit_activation(net_.activation(l), [&](const auto a) {
      for (Index row = 0; row < count; ++row) body(a, row * stride);
    });
  }

  const NetworkSpec& net_;
  const Layout& layout_;
  JetShape jet_;
  Slots z_{}, h_{};    ///< inputs and outputs of the activations
  Slots rz_{}, rh_{};  ///< their R
  T* x_ = nullptr;
  std::array<T*, 2> d_{}, rd_{};  ///< deltas of a layer and of the one below, and their R
  RowSums<T> sums_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
