// The posterior of one task's head in closed form, to which rows are added one by one.
//
// All that it holds lies in memory of the caller's, `bytes` long, which may be copied. Features are
// the last hidden layer's outputs, [rows, m - 1].
#pragma once

#include "api/algorithm.hpp"
#include "api/examples.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

class Posterior {
 public:
  /// `per_output`: every output has weights, and so an uncertainty, of its own.
  Posterior(const Algorithm& algorithm, const Network& net, DType dtype, bool per_output);

  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] Index features() const { return m_; }
  [[nodiscard]] Index outputs() const { return n_; }
  [[nodiscard]] Index groups() const { return groups_; }

  /// Before any row: `numbers` stand beside theta, `head` is theta's last layer [m, n_L].
  /// False where V or the noise is not finite, or 0, in this dtype.
  template <class T>
  bool begin(std::byte* memory, const T* numbers, const T* head) const;
  /// Rows first … last-1 in their order; what was seen before each counts `forget` times. False,
  /// and what it holds means nothing, where a number overflows.
  template <class T>
  bool update(std::byte* memory, const Examples& rows, Index first, Index last, const T* features,
              double forget) const;
  /// So many rows take less than a tenth of a second.
  [[nodiscard]] Index stretch(bool forgets) const;
  /// Means [rows, n_L] and standard deviations, which may be null; false where they are not finite.
  /// Writes nothing but these and `room` [2, m]: several threads may predict at a time.
  template <class T>
  bool predict(std::byte* memory, const T* features, Index rows, T* means, T* deviations,
               T* room) const;
  /// The mean of the head [m, n_L], and S of every group [groups, m, m]: w_j ~ N(mean, s_j^2 S S').
  template <class T>
  void read(std::byte* memory, T* head, T* roots, T* noise) const;

 private:
  template <class T>
  auto open(std::byte* memory) const;

  inner::HeadSpec spec_;
  DType dtype_;
  Index m_, n_, groups_;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
