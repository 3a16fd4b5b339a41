// The first layer of a wide input, without its adapted weights.
//
// Gradient descent moves W_0 within the span of the support rows: W_0 at step k is W_0 + X_s' E,
// E the sum of the scaled deltas so far. So Z = X W_0 is formed once, and a step only needs the
// small matrices X_s X_s' and X_q X_s'. The bias is the weight of an input that is always 1, which
// adds 1 to every entry of these matrices. Both are stored with that 1.
#pragma once

#include "engines/rows/pass.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
class DualLayer {
 public:
  static DualLayer carve(const Problem& problem, const Shapes<T>& shapes, bool exact, Arena& arena);

  /// A new task: `theta` is where it starts.
  void begin(const Shapes<T>& shapes, const Weights<T>& theta, const RowRange<T>& support);

  /// Layer 0's outputs on the support rows, after as many steps as were added.
  void forward_support(const Shapes<T>& shapes, const Pass<T>& pass) const;

  /// One step: the deltas of the support rows, scaled by minus the rate.
  void add_step(const Shapes<T>& shapes, const T* scaled);

  /// Layer 0's outputs on the query rows, after the last step.
  void forward_query(const Shapes<T>& shapes, const RowRange<T>& query, const Pass<T>& pass);

  /// to = the adapted W_0, after all.
  void form_weight(const Shapes<T>& shapes, Columns<T> to) const;

  [[nodiscard]] bool finite(const Shapes<T>& shapes) const;

  /// The reverse of the steps (exact): lambda_0 = X_q' D_q + X_s' R with R = 0 at first.
  void begin_reverse(const Shapes<T>& shapes, const T* query_deltas);
  /// to = scale * (X_s lambda_0 + its bias): what the tangent lambda adds to Rz of layer 0.
  void tangent_product(const Shapes<T>& shapes, T scale, T* to) const;
  /// R += the R of layer 0's deltas.
  void add_reverse(const Shapes<T>& shapes, const T* rd);
  /// R [support rows, out_stride] of the last reverse.
  [[nodiscard]] T* reverse_sum() const { return reverse_; }
  [[nodiscard]] bool reverse_finite(const Shapes<T>& shapes) const;

 private:
  Weights<T> start_;
  RowRange<T> support_;
  Index query_rows_ = 0;
  int steps_taken_ = 0;
  Index stride_ = 0;         ///< leading dimension of the two Gram matrices
  T* transposed_ = nullptr;  ///< X_s' in panels
  T* gram_ = nullptr;        ///< X_s X_s' + 1
  T* cross_ = nullptr;       ///< X_q X_s' + 1
  T* z_ = nullptr;           ///< X_s W_0 + b_0
  T* sum_ = nullptr;         ///< E
  T* query_part_ = nullptr;  ///< (X_q X_s' + 1)' D_q
  T* reverse_ = nullptr;     ///< R
  LongSums<T> sums_{};       ///< where there are many rows
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
