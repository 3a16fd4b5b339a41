// From the arrays of a call to Examples: the one place that checks rows.
//
// In two strokes, so that the caller brings the memory: `measure` looks at shapes and dtypes, after
// which `bytes` is known; `read` looks at the numbers and copies what cannot stay where it is:
// labels, lists of arrays, rows beside a mask or a context.
#pragma once

#include "api/examples.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct ExampleArguments {
  /// Weights and mask are of rows, or of each output of each row.
  Argument x{}, y{}, weights{}, mask{}, class_mask{}, context{};
  DType dtype = DType::none;   ///< that all floats must have; none: that of x
  const char* like = "theta";  ///< whose dtype that is
  Index inputs = -1;           ///< columns that x should have, if known, for sentences
  Index steps = 0;             ///< sets of every task, one after another; 0: one, for all steps
  bool takes_steps = false;    ///< an axis of them may have been folded (step_axis.hpp)
  bool wants_targets = true;
  bool takes_single = true;  ///< x may be one set of rows, without an axis of tasks
  bool takes_empty = false;  ///< x may hold no row
  bool check_finite = true;
};

class ExampleReader {
 public:
  explicit ExampleReader(const ExampleArguments& arguments) : in_(arguments) {}

  bool measure(Fault& fault);
  [[nodiscard]] std::size_t bytes() const;
  /// Results refer to `memory` and to the arrays that were given.
  bool read(std::byte* memory, Examples& to, Fault& fault);

  /// After `measure`: x holds no row, so that there is nothing to compute.
  [[nodiscard]] bool empty() const { return empty_; }
  [[nodiscard]] bool single() const { return single_; }
  [[nodiscard]] bool ragged() const { return ragged_; }
  [[nodiscard]] Index sets() const { return sets_; }
  /// Tasks that will be read: more than sets where one set meets contexts or classes of many.
  [[nodiscard]] Index tasks() const { return tasks_; }
  /// Rows of a set.
  [[nodiscard]] Index count(Index set) const {
    return in_.x.listed ? in_.x.arrays[set].shape[0] : rows_;
  }

 private:
  /// Parts of the caller's memory; null where nothing is copied.
  struct Buffers {
    Index* offsets;
    void *x, *y;
    std::int32_t* labels;
    void *weights, *coefficients;
    std::uint8_t* classes;
    Index* starts;        ///< with a mask: the first row of each set, as given
    std::uint8_t* kept;   ///< with a mask: of each row, as given
    std::uint8_t* known;  ///< with a mask of outputs: [rows, outputs]
  };

  bool measure_inputs(Fault& fault);
  bool measure_targets(Fault& fault);
  bool measure_numbers(const Argument& y, Fault& fault);
  bool measure_context(Fault& fault);
  bool measure_columns(Fault& fault) const;
  bool measure_classes(Fault& fault);
  bool measure_flags_and_weights(Fault& fault);
  /// One entry a row, or `outputs` of them: `entries` names them in sentences.
  bool measure_rows(const Argument& field, const char* entries, Index outputs, Fault& fault) const;
  bool measure_outputs(const Argument& field, Index& outputs, Fault& fault) const;
  bool no_such_rows(const Argument& field, Index set, const Array& got, Fault& fault) const;

  template <class T>
  bool read_as(const Buffers& to, Examples& examples, Fault& fault);
  bool read_offsets(const Buffers& to, Fault& fault) const;
  bool read_labels(const Buffers& to, Examples& examples, Fault& fault);
  bool read_classes(const Buffers& to, Examples& examples, Fault& fault);
  template <class T>
  bool read_numbers(const Argument& field, bool context, T* to, const void*& result, Fault& fault);
  template <class T>
  bool read_weights(const Buffers& to, Examples& examples, Fault& fault);
  void read_kept(const Buffers& to);
  void read_known(const Buffers& to) const;
  template <class T>
  bool read_known_numbers(const Argument& field, bool checks, T* to, Fault& fault) const;
  template <class T>
  void read_coefficients_of_outputs(const Buffers& to) const;
  template <class T>
  bool check_finite(const Argument& field, bool always, Fault& fault) const;

  [[nodiscard]] bool per_output() const { return mask_outputs_ > 0 || weight_outputs_ > 0; }
  [[nodiscard]] Index sets_of_task() const { return std::max<Index>(1, in_.steps); }
  [[nodiscard]] Buffers carve(Arena& arena) const;
  [[nodiscard]] bool keeps(Index set, Index row) const {
    return kept_ == nullptr || kept_[starts_[set] + row] != 0;
  }
  [[nodiscard]] const Array& array_of(const Argument& field, Index set) const {
    return field.listed ? field.arrays[set] : field.arrays[0];
  }
  /// First entry of a set's row, in numbers of `columns` a row.
  [[nodiscard]] Index entry(const Argument& field, Index set, Index row, Index columns) const {
    return (field.listed ? row : set * rows_ + row) * columns;
  }
  /// Calls body(first, rows) for the rows of a set that stay, as many neighbours as there are.
  template <class Body>
  void in_kept_rows(Index set, Body&& body) const {
    const Index end = count(set);
    if (kept_ == nullptr) return body(Index(0), end);
    for (Index row = 0, first = 0; row < end; first = ++row) {
      while (row < end && keeps(set, row)) ++row;
      if (row > first) body(first, row - first);
    }
  }
  void place(const Argument& field, Index set, Index row, Index column, Fault& fault) const;

  const ExampleArguments& in_;
  Index sets_ = 0;      ///< of rows, as given
  Index rows_ = 0;      ///< of every set, unless x is a list
  Index total_ = 0;     ///< rows as given
  Index out_sets_ = 0;  ///< more where one set meets a context of many tasks
  Index tasks_ = 0;     ///< more than those where one set meets the classes of many tasks
  Index columns_ = 0;
  Index mask_outputs_ = 0, weight_outputs_ = 0;  ///< columns of those; 0: they are of rows
  const Index* starts_ = nullptr;                ///< Buffers::starts and kept, where a row goes
  const std::uint8_t* kept_ = nullptr;
  bool one_set_ = false;  ///< x has no axis of tasks, and neither has what is shaped like it
  bool single_ = false;   ///< nor has anything else
  bool ragged_ = false, empty_ = false;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
