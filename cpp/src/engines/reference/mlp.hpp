// One task's network over Eigen maps: forward, backward, and Pearlmutter's R-operator.
//
// Formulas: Rumelhart, Hinton & Williams 1986; Pearlmutter 1994, "Fast exact multiplication by the
// Hessian". Obvious rather than fast: the fast engines are held against it.
#pragma once

#include <Eigen/Core>

#include "base/arena.hpp"
#include "kernels/compensated.hpp"
#include "network/layout.hpp"
#include "network/rows.hpp"

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
class Mlp {
 public:
  /// Takes its buffers for at most `rows` rows from the arena; `second_order` for hessian_vector.
  Mlp(const NetworkSpec& net, const Layout& layout, Index rows, bool second_order, Arena& arena)
      : net_(net), layout_(layout) {
    Index widest = 0;
    for (int l = 0; l < net.depth; ++l) {
      const Index size = rows * net.fan_out(l);
      widest = std::max(widest, rows * net.fan_in(l));
      slot(h_, l) = arena.take<T>(size);
      slot(s_, l) = net.is_last(l) || !activation_needs_input(net.activation(l))
                        ? slot(h_, l)
                        : arena.take<T>(size);
      slot(d_, l) = arena.take<T>(size);
      if (second_order) {
        slot(rh_, l) = arena.take<T>(size);
        slot(rz_, l) = net.is_last(l) ? slot(rh_, l) : arena.take<T>(size);
        slot(rd_, l) = arena.take<T>(size);
      }
    }
    back_ = arena.take<T>(widest);
    r_back_ = second_order ? arena.take<T>(widest) : nullptr;
  }

  /// Outputs [count, n_L] at theta.
  ConstMatrix<T> forward(const T* theta, const T* x, Index count) const {
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> z(at(s_, l), count, net_.fan_out(l)), h(at(h_, l), count, net_.fan_out(l));
      z.noalias() = input(l, x, count) * weight(theta, l);
      z.rowwise() += bias(theta, l);
      if (net_.is_last(l)) continue;
      visit_activation(net_.activation(l), [&]<class A>(A) {
        for (Index i = 0; i < z.size(); ++i) h.data()[i] = A::apply(z.data()[i]);
      });
    }
    return {at(h_, net_.depth - 1), count, net_.outputs()};
  }

  /// The task's loss at theta: outputs of the last forward against its targets. With `gradient`,
  /// also leaves c_i * dl_i/do in the last layer's delta. Outputs of classes that the task does not
  /// have are overwritten.
  T loss(LossSpec loss, const RowSet<T>& rows, Index task, bool gradient) const {
    const Index n = net_.outputs(), first = rows.first(task), count = rows.count(task);
    leave_out_absent(rows.classes_of(task, n), count);
    CompensatedSum<T> total;
    visit_loss(loss.id, [&]<class L>(L) {
      for (Index r = 0; r < count; ++r) {
        const T c = coefficient(rows, task, r);
        T label = 0;
        const T* y = target<L>(rows, first + r, label);
        const T* o = at(h_, net_.depth - 1) + r * n;
        T* d = at(d_, net_.depth - 1) + r * n;
        if (c == 0) {  // a removed row counts for nothing, whatever it holds
          std::fill_n(d, n, T(0));
          continue;
        }
        if (gradient) {
          total.add(c * L::gradient(loss.parameter, o, y, n, d));
          for (Index j = 0; j < n; ++j) d[j] *= c;
        } else {
          total.add(c * L::value(loss.parameter, o, y, n));
        }
      }
    });
    return total.value();
  }

  /// Gradient over theta, after forward and loss(…, true).
  void backward(const T* theta, const T* x, Index count, T* g) const {
    for (int l = net_.depth - 1; l >= 0; --l) {
      const ConstMatrix<T> d(at(d_, l), count, net_.fan_out(l));
      Matrix<T>(g + weight_offset(l), net_.fan_in(l), net_.fan_out(l)).noalias() =
          input(l, x, count).transpose() * d;
      Row<T>(g + bias_offset(l), net_.fan_out(l)) = d.colwise().sum();
      if (l == 0) break;
      Matrix<T> back(back_, count, net_.fan_in(l));
      back.noalias() = d * weight(theta, l).transpose();
      visit_activation(net_.activation(l - 1), [&]<class A>(A) {
        for (Index i = 0; i < back.size(); ++i)
          at(d_, l - 1)[i] = back_[i] * A::d1(at(s_, l - 1)[i]);
      });
    }
  }

  /// Hv, after forward and loss(…, true).
  void hessian_vector(const T* theta, LossSpec loss, const RowSet<T>& rows, Index task, const T* v,
                      T* hv) const {
    const Index count = rows.count(task);
    const T* x = rows.x + rows.first(task) * net_.inputs();
    r_forward(theta, x, count, v);
    r_loss(loss, rows, task);
    for (int l = net_.depth - 1; l >= 0; --l) {
      const ConstMatrix<T> d(at(d_, l), count, net_.fan_out(l)),
          rd(at(rd_, l), count, net_.fan_out(l));
      Matrix<T> hw(hv + weight_offset(l), net_.fan_in(l), net_.fan_out(l));
      hw.noalias() = input(l, x, count).transpose() * rd;
      Row<T>(hv + bias_offset(l), net_.fan_out(l)) = rd.colwise().sum();
      if (l == 0) break;
      hw.noalias() += ConstMatrix<T>(at(rh_, l - 1), count, net_.fan_in(l)).transpose() * d;
      Matrix<T> back(back_, count, net_.fan_in(l)), r_back(r_back_, count, net_.fan_in(l));
      back.noalias() = d * weight(theta, l).transpose();
      r_back.noalias() = rd * weight(theta, l).transpose();
      r_back.noalias() += d * weight(v, l).transpose();
      visit_activation(net_.activation(l - 1), [&]<class A>(A) {
        for (Index i = 0; i < back.size(); ++i) {
          const T s = at(s_, l - 1)[i], d1 = A::d1(s);
          at(d_, l - 1)[i] = back_[i] * d1;
          at(rd_, l - 1)[i] = r_back_[i] * d1 + back_[i] * A::d2(s) * at(rz_, l - 1)[i];
        }
      });
    }
  }

  static T coefficient(const RowSet<T>& rows, Index task, Index row) {
    return rows.coefficients != nullptr ? rows.coefficients[rows.first(task) + row]
                                        : T(1) / static_cast<T>(rows.count(task));
  }

 private:
  using Slots = std::array<T*, kMaxLayers>;
  static T*& slot(Slots& slots, int l) { return slots[static_cast<std::size_t>(l)]; }
  static T* at(const Slots& slots, int l) { return slots[static_cast<std::size_t>(l)]; }

  [[nodiscard]] Index weight_offset(int l) const { return layout_.weight[NetworkSpec::at(l)]; }
  [[nodiscard]] Index bias_offset(int l) const { return layout_.bias[NetworkSpec::at(l)]; }
  ConstMatrix<T> weight(const T* theta, int l) const {
    return {theta + weight_offset(l), net_.fan_in(l), net_.fan_out(l)};
  }
  ConstRow<T> bias(const T* theta, int l) const {
    return {theta + bias_offset(l), net_.fan_out(l)};
  }
  ConstMatrix<T> input(int l, const T* x, Index count) const {
    return {l == 0 ? x : at(h_, l - 1), count, net_.fan_in(l)};
  }
  void leave_out_absent(const std::uint8_t* classes, Index count) const {
    if (classes == nullptr) return;
    const Index n = net_.outputs();
    T* o = at(h_, net_.depth - 1);
    for (Index i = 0; i < count * n; ++i) {
      if (classes[i % n] == 0) o[i] = kAbsentOutput<T>;
    }
  }
  template <class L>
  const T* target(const RowSet<T>& rows, Index row, T& label) const {
    if constexpr (L::targets == Targets::labels) {
      label = static_cast<T>(rows.labels[row]);
      return &label;
    } else {
      return rows.y + row * net_.outputs();
    }
  }

  void r_forward(const T* theta, const T* x, Index count, const T* v) const {
    for (int l = 0; l < net_.depth; ++l) {
      Matrix<T> rz(at(rz_, l), count, net_.fan_out(l));
      rz.noalias() = input(l, x, count) * weight(v, l);
      rz.rowwise() += bias(v, l);
      if (l > 0) {
        rz.noalias() += ConstMatrix<T>(at(rh_, l - 1), count, net_.fan_in(l)) * weight(theta, l);
      }
      if (net_.is_last(l)) continue;
      visit_activation(net_.activation(l), [&]<class A>(A) {
        for (Index i = 0; i < rz.size(); ++i) at(rh_, l)[i] = at(rz_, l)[i] * A::d1(at(s_, l)[i]);
      });
    }
  }

  void r_loss(LossSpec loss, const RowSet<T>& rows, Index task) const {
    const Index n = net_.outputs(), last = net_.depth - 1;
    visit_loss(loss.id, [&]<class L>(L) {
      for (Index r = 0; r < rows.count(task); ++r) {
        const T c = coefficient(rows, task, r);
        T label = 0;
        const T* y = target<L>(rows, rows.first(task) + r, label);
        T* rd = at(rd_, static_cast<int>(last)) + r * n;
        if (c == 0) {
          std::fill_n(rd, n, T(0));
          continue;
        }
        L::hessian_vector(loss.parameter, at(h_, static_cast<int>(last)) + r * n, y,
                          at(rh_, static_cast<int>(last)) + r * n, n, rd);
        for (Index j = 0; j < n; ++j) rd[j] *= c;
      }
    });
  }

  const NetworkSpec& net_;
  const Layout& layout_;
  Slots h_{};   ///< outputs of each layer
  Slots s_{};   ///< where its activation's derivatives are evaluated: z or h
  Slots d_{};   ///< delta: gradient on each layer's affine output
  Slots rh_{};  ///< R of the outputs
  Slots rz_{};  ///< R of the affine outputs
  Slots rd_{};  ///< R of the deltas
  T* back_ = nullptr;
  T* r_back_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
