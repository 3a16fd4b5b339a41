// One task's network over Eigen maps: forward, backward, and Pearlmutter's R-operator.
//
// Formulas: Rumelhart, Hinton & Williams 1986; Pearlmutter 1994, "Fast exact multiplication by the
// Hessian"; normalisation: network/normalization.hpp; context parameters: Zintgraf et al. 2019.
// Obvious rather than fast: tests compare the fast engines with this one.
#pragma once

#include "engines/reference/output_loss.hpp"
#include "engines/reference/row_sums.hpp"
#include "network/layout.hpp"
#include "network/normalization.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Of E, which is T or const T.
template <class E>
using MatrixOf = std::conditional_t<std::is_const_v<E>, ConstMatrix<std::remove_const_t<E>>,
                                    Matrix<std::remove_const_t<E>>>;
template <class E>
using RowOf = std::conditional_t<std::is_const_v<E>, ConstRow<std::remove_const_t<E>>,
                                 Row<std::remove_const_t<E>>>;

template <class T>
class Mlp {
 public:
  /// Takes its buffers for at most `rows` rows from the arena; `second_order` for all that takes a
  /// tangent. With `context` > 0, vectors of parameters hold P + context numbers, the last ones
  /// being what layer 0 is fed beside the columns of x.
  Mlp(const NetworkSpec& net, const Layout& layout, Index rows, bool second_order, Arena& arena,
      Index context = 0)
      : net_(net), layout_(layout), context_(context) {
    Index widest = 0;
    for (int l = 0; l < net.depth; ++l) {
      const Index size = rows * net.fan_out(l);
      widest = std::max(widest, rows * net.fan_in(l));
      slot(h_, l) = arena.take<T>(size);
      slot(s_, l) = net.is_last(l) || !facts_of(net.activation(l)).needs_input
                        ? slot(h_, l)
                        : arena.take<T>(size);
      slot(d_, l) = arena.take<T>(size);
      norms_[NetworkSpec::at(l)] =
          normalization::Layer<T>::carve(net.norm(l), rows, net.fan_out(l), second_order, arena);
      if (second_order) {
        slot(rh_, l) = arena.take<T>(size);
        slot(rz_, l) = net.is_last(l) ? slot(rh_, l) : arena.take<T>(size);
        slot(rd_, l) = arena.take<T>(size);
      }
    }
    if (context > 0) widest = std::max(widest, net.fan_out(0));
    Index largest = 0;
    for (int l = 0; l < net.depth; ++l) largest = std::max(largest, fed(l) * net.fan_out(l));
    sums_.carve(rows, largest, second_order, arena);
    back_ = arena.take<T>(widest);
    r_back_ = second_order ? arena.take<T>(widest) : nullptr;
  }

  /// Columns of x.
  [[nodiscard]] Index columns() const { return net_.inputs() - context_; }

  /// Outputs [count, n_L] at theta.
  ConstMatrix<T> forward(const T* theta, const T* x, Index count) const {
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> z(at(s_, l), count, net_.fan_out(l)), h(at(h_, l), count, net_.fan_out(l));
      in_stretches(l, count, [&](Index first, Index rows) {
        z.middleRows(first, rows).noalias() =
            input(l, x, count).middleRows(first, rows) * weight(theta, l);
        z.middleRows(first, rows).rowwise() += bias(theta, l);
      });
      if (l == 0 && context_ > 0) {
        Row<T> shared(back_, net_.fan_out(0));
        shared.noalias() = phi(theta) * context_weight(theta);
        z.rowwise() += shared;
      }
      if (net_.is_last(l)) continue;
      if (net_.normalized(l)) {
        normalization::apply(norm(l, count), theta + gain(l), theta + shift(l), z.data());
      }
      visit_activation(net_.activation(l), [&](const auto a) {
        in_stretches(l, count, [&](Index first, Index rows) {
          const Index end = (first + rows) * z.cols();
          for (Index i = first * z.cols(); i < end; ++i) h.data()[i] = a.apply(z.data()[i]);
        });
      });
    }
    return {at(h_, net_.depth - 1), count, net_.outputs()};
  }

  /// The task's loss at theta: outputs of the last forward against its targets. With `gradient`,
  /// also leaves its gradient on the outputs in the last layer's delta. Outputs of classes that the
  /// task does not have are overwritten.
  T loss(const LossSpec& loss, const RowSet<T>& rows, Index task, bool gradient) const {
    const int last = net_.depth - 1;
    leave_out_absent(rows.classes_of(task, net_.outputs()), rows.count(task));
    return output_loss(loss, net_.outputs(), rows, task, at(h_, last), gradient, at(d_, last));
  }

  /// Puts `values` [count, n_L] in the last layer's delta, in place of a loss's gradient.
  void set_delta(const T* values, Index count) const {
    std::copy_n(values, count * net_.outputs(), at(d_, net_.depth - 1));
  }

  /// Gradient over theta, after forward and the last layer's delta.
  void backward(const T* theta, const T* x, Index count, T* g) const {
    backward_from(net_.depth - 1, theta, x, count, g);
    if (context_ == 0) return;
    context_weight(g).noalias() = phi(theta).transpose() * bias(g, 0);  // b's gradient: d summed
    phi(g).noalias() = bias(g, 0) * context_weight(theta).transpose();
  }

  /// What the last layer is fed, [count, n_{L-1}], after forward.
  [[nodiscard]] ConstMatrix<T> features(const T* x, Index count) const {
    return input(net_.depth - 1, x, count);
  }
  /// Of the last forward, [count, n_L].
  [[nodiscard]] const T* outputs() const { return at(h_, net_.depth - 1); }
  /// The last layer's delta [count, n_L].
  [[nodiscard]] T* delta() const { return at(d_, net_.depth - 1); }
  /// Gradient over the layers below the last from that on the features, after forward; the rest of
  /// g is left alone.
  void backward_from_features(const T* theta, const T* x, Index count, const T* features,
                              T* g) const {
    const int last = net_.depth - 1;
    if (last == 0) return;
    std::copy_n(features, count * net_.fan_in(last), back_);
    through_activation(last, count);
    through_norm(theta, last, count, g);
    backward_from(last - 1, theta, x, count, g);
  }

  /// Gradient on the rows' inputs [count, n_0], after forward and the last layer's delta.
  ConstMatrix<T> backward_to_inputs(const T* theta, Index count) const {
    for (int l = net_.depth - 1; l > 0; --l) {
      pass_back(theta, l, count);
      if (!net_.normalized(l - 1)) continue;
      normalization::pull_back(norm(l - 1, count), theta + gain(l - 1), at(d_, l - 1));
    }
    Matrix<T> back(back_, count, fed(0));
    back.noalias() =
        ConstMatrix<T>(at(d_, 0), count, net_.fan_out(0)) * weight(theta, 0).transpose();
    return {back_, count, fed(0)};
  }

  /// Tangent of the outputs [count, n_L] where the inputs have the tangent rx, after forward.
  ConstMatrix<T> push_forward_inputs(const T* theta, const T* rx, Index count) const {
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> rz(at(rz_, l), count, net_.fan_out(l));
      const T* const rh = l == 0 ? rx : at(rh_, l - 1);
      rz.noalias() = ConstMatrix<T>(rh, count, fed(l)) * weight(theta, l);
      if (net_.is_last(l)) break;
      if (net_.normalized(l)) {
        const T* const still = std::fill_n(r_back_, net_.fan_out(l), T(0)) - net_.fan_out(l);
        normalization::apply_tangent(norm(l, count), theta + gain(l), still, still, rz.data());
      }
      push_through_activation(l, count);
    }
    return {at(rh_, net_.depth - 1), count, net_.outputs()};
  }

  /// Hv, after forward and loss(…, true).
  void hessian_vector(const T* theta, const LossSpec& loss, const RowSet<T>& rows, Index task,
                      const T* v, T* hv) const {
    const Index count = rows.count(task);
    const T* x = rows.x + rows.first(task) * columns();
    r_forward(theta, x, count, v);
    curvature(loss, rows, task, at(rd_, net_.depth - 1));
    r_backward(theta, x, count, v, hv);
  }

  /// J' (Hessian of the loss on the outputs) J v, after forward.
  void gauss_newton_vector(const T* theta, LossSpec spec, const RowSet<T>& rows, Index task,
                           const T* v, T* product) const {
    const T* x = rows.x + rows.first(task) * columns();
    loss(spec, rows, task, false);  // leaves out absent classes
    r_forward(theta, x, rows.count(task), v);
    curvature(spec, rows, task, at(d_, net_.depth - 1));
    backward(theta, x, rows.count(task), product);
  }

  /// Jv [count, n_L], after forward.
  ConstMatrix<T> push_forward(const T* theta, const T* x, Index count, const T* v) const {
    r_forward(theta, x, count, v);
    return {at(rh_, net_.depth - 1), count, net_.outputs()};
  }

  /// R{J'c} for the cotangents c [count, n_L] with R{c}, after forward.
  void pull_back_tangent(const T* theta, const T* x, Index count, const T* c, const T* rc,
                         const T* v, T* product) const {
    r_forward(theta, x, count, v);
    set_delta(c, count);
    std::copy_n(rc, count * net_.outputs(), at(rd_, net_.depth - 1));
    r_backward(theta, x, count, v, product);
  }

 private:
  /// Calls body(first, rows) for stretches of the rows, of so many that layer l's product does not
  /// take long, until somebody wants to stop.
  template <class Body>
  void in_stretches(int l, Index count, Body&& body) const {
    constexpr Index kFewest = 1024;
    constexpr Index kOfActivation = 40;
    const Index work = (2 * net_.fan_in(l) + kOfActivation) * net_.fan_out(l);
    const Index most = std::max(kFewest, Watch::kLongest / work);
    for (Index first = 0; first < count; first += most) {
      const Index rows = std::min(most, count - first);
      if (Watch::of_thread().stopped(rows * work)) return;
      body(first, rows);
    }
  }

  using Slots = std::array<T*, kMaxLayers>;
  static T*& slot(Slots& slots, int l) { return slots[static_cast<std::size_t>(l)]; }
  static T* at(const Slots& slots, int l) { return slots[static_cast<std::size_t>(l)]; }

  /// Rows of W_l that the layer's inputs meet: all but the context's.
  [[nodiscard]] Index fed(int l) const { return l == 0 ? columns() : net_.fan_in(l); }
  [[nodiscard]] Index gain(int l) const { return layout_.layer(net_, l).gain; }
  [[nodiscard]] Index shift(int l) const { return layout_.layer(net_, l).shift; }
  [[nodiscard]] normalization::Layer<T> norm(int l, Index count) const {
    return norms_[NetworkSpec::at(l)].with_rows(count);
  }
  // Parts of a vector of parameters; const where the vector is.
  template <class E>
  auto weight(E* theta, int l) const {
    return MatrixOf<E>(theta + layout_.layer(net_, l).weight, fed(l), net_.fan_out(l));
  }
  template <class E>
  auto bias(E* theta, int l) const {
    return RowOf<E>(theta + layout_.layer(net_, l).bias, net_.fan_out(l));
  }
  /// C: what the context goes through.
  template <class E>
  auto context_weight(E* theta) const {
    return MatrixOf<E>(theta + layout_.layer(net_, 0).weight + columns() * net_.fan_out(0),
                       context_, net_.fan_out(0));
  }
  template <class E>
  auto phi(E* theta) const {
    return RowOf<E>(theta + layout_.n_params, context_);
  }
  ConstMatrix<T> input(int l, const T* x, Index count) const {
    return {l == 0 ? x : at(h_, l - 1), count, fed(l)};
  }
  void leave_out_absent(const std::uint8_t* classes, Index count) const {
    if (classes == nullptr) return;
    const Index n = net_.outputs();
    T* o = at(h_, net_.depth - 1);
    for (Index i = 0; i < count * n; ++i) {
      if (classes[i % n] == 0) o[i] = kAbsentOutput<T>;
    }
  }

  /// to = c (Hessian of the loss on the outputs) . R of the outputs
  void curvature(const LossSpec& loss, const RowSet<T>& rows, Index task, T* to) const {
    const int last = net_.depth - 1;
    output_curvature(loss, net_.outputs(), rows, task, at(h_, last), at(rh_, last), to);
  }

  /// Gradient on b_l from that on z_l. Before batch normalisation a shift changes nothing: it is 0,
  /// and not the rounding that adaptive optimisers would turn into steps.
  void bias_sums(int l, const ConstMatrix<T>& d, Row<T> sum) const {
    if (net_.norm(l) == Norm::batch) {
      sum.setZero();
    } else {
      sums_.columns(d, sum);
    }
  }

  void r_forward(const T* theta, const T* x, Index count, const T* v) const {
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> rz(at(rz_, l), count, net_.fan_out(l));
      rz.noalias() = input(l, x, count) * weight(v, l);
      rz.rowwise() += bias(v, l);
      if (l > 0) {
        rz.noalias() += ConstMatrix<T>(at(rh_, l - 1), count, net_.fan_in(l)) * weight(theta, l);
      } else if (context_ > 0) {
        Row<T> shared(back_, net_.fan_out(0));
        shared.noalias() = phi(v) * context_weight(theta);
        shared.noalias() += phi(theta) * context_weight(v);
        rz.rowwise() += shared;
      }
      if (net_.is_last(l)) continue;
      if (net_.normalized(l)) {
        normalization::apply_tangent(norm(l, count), theta + gain(l), v + gain(l), v + shift(l),
                                     rz.data());
      }
      push_through_activation(l, count);
    }
  }

  void push_through_activation(int l, Index count) const {
    visit_activation(net_.activation(l), [&](const auto a) {
      const Index size = count * net_.fan_out(l);
      for (Index i = 0; i < size; ++i) at(rh_, l)[i] = at(rz_, l)[i] * a.d1(at(s_, l)[i]);
    });
  }

  /// Gradient over layer l and those below, after its delta.
  void backward_from(int l, const T* theta, const T* x, Index count, T* g) const {
    for (;; --l) {
      const ConstMatrix<T> d(at(d_, l), count, net_.fan_out(l));
      sums_.product(input(l, x, count), d, weight(g, l));
      bias_sums(l, d, bias(g, l));
      if (l == 0) return;
      pass_back(theta, l, count);
      through_norm(theta, l, count, g);
    }
  }

  /// The normalisation below layer l, if there is one: its parameters' gradient, and the delta.
  void through_norm(const T* theta, int l, Index count, T* g) const {
    if (!net_.normalized(l - 1)) return;
    T* du = at(d_, l - 1);
    std::fill_n(g + gain(l - 1), 2 * net_.fan_out(l - 1), T(0));  // the shifts come next
    normalization::add_parameter_sums(norm(l - 1, count), du, g + gain(l - 1), g + shift(l - 1));
    normalization::pull_back(norm(l - 1, count), theta + gain(l - 1), du);
  }

  /// From layer l's delta to the gradient on the input of the activation below.
  void pass_back(const T* theta, int l, Index count) const {
    const ConstMatrix<T> d(at(d_, l), count, net_.fan_out(l));
    Matrix<T> back(back_, count, net_.fan_in(l));
    in_stretches(l, count, [&](Index first, Index rows) {
      back.middleRows(first, rows).noalias() =
          d.middleRows(first, rows) * weight(theta, l).transpose();
    });
    through_activation(l, count);
  }

  /// The delta below layer l from the gradient on what the layer is fed, which stands in `back_`.
  void through_activation(int l, Index count) const {
    const Index width = net_.fan_in(l);
    visit_activation(net_.activation(l - 1), [&](const auto a) {
      in_stretches(l, count, [&](Index first, Index rows) {
        const Index end = (first + rows) * width;
        for (Index i = first * width; i < end; ++i)
          at(d_, l - 1)[i] = back_[i] * a.d1(at(s_, l - 1)[i]);
      });
    });
  }

  /// The R-operator through backward, from the last layer's delta and its R.
  void r_backward(const T* theta, const T* x, Index count, const T* v, T* hv) const {
    for (int l = net_.depth - 1; l >= 0; --l) {
      const ConstMatrix<T> d(at(d_, l), count, net_.fan_out(l)),
          rd(at(rd_, l), count, net_.fan_out(l));
      sums_.product(input(l, x, count), rd, weight(hv, l));
      bias_sums(l, rd, bias(hv, l));
      if (l == 0) break;
      const ConstMatrix<T> rh(at(rh_, l - 1), count, net_.fan_in(l));
      sums_.add_product(rh, d, weight(hv, l));
      Matrix<T> back(back_, count, net_.fan_in(l)), r_back(r_back_, count, net_.fan_in(l));
      back.noalias() = d * weight(theta, l).transpose();
      r_back.noalias() = rd * weight(theta, l).transpose();
      r_back.noalias() += d * weight(v, l).transpose();
      visit_activation(net_.activation(l - 1), [&](const auto a) {
        for (Index i = 0; i < back.size(); ++i) {
          const T s = at(s_, l - 1)[i], d1 = a.d1(s);
          at(d_, l - 1)[i] = back_[i] * d1;
          at(rd_, l - 1)[i] = r_back_[i] * d1 + back_[i] * a.d2(s) * at(rz_, l - 1)[i];
        }
      });
      if (net_.normalized(l - 1)) {
        T *du = at(d_, l - 1), *r_du = at(rd_, l - 1);
        std::fill_n(hv + gain(l - 1), 2 * net_.fan_out(l - 1), T(0));
        normalization::add_parameter_sums_tangent(norm(l - 1, count), du, r_du, hv + gain(l - 1),
                                                  hv + shift(l - 1));
        normalization::pull_back_tangent(norm(l - 1, count), theta + gain(l - 1), v + gain(l - 1),
                                         du, r_du);
      }
    }
    if (context_ == 0) return;
    // R of backward's two lines; the sums of d itself are formed anew.
    const ConstMatrix<T> d(at(d_, 0), count, net_.fan_out(0));
    Row<T> sum(back_, net_.fan_out(0));
    bias_sums(0, d, sum);
    context_weight(hv).noalias() = phi(theta).transpose() * bias(hv, 0);
    context_weight(hv).noalias() += phi(v).transpose() * sum;
    phi(hv).noalias() = bias(hv, 0) * context_weight(theta).transpose();
    phi(hv).noalias() += sum * context_weight(v).transpose();
  }

  const NetworkSpec& net_;
  const Layout& layout_;
  Index context_;
  Slots h_{};   ///< outputs of each layer
  Slots s_{};   ///< where its activation's derivatives are evaluated: its input (z, u) or h
  Slots d_{};   ///< delta: gradient on each layer's affine output
  Slots rh_{};  ///< R of the outputs
  Slots rz_{};  ///< R of the activation's input: of z, or of u where normalised
  Slots rd_{};  ///< R of the deltas
  std::array<normalization::Layer<T>, kMaxLayers> norms_{};
  T* back_ = nullptr;
  T* r_back_ = nullptr;
  RowSums<T> sums_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
