// What ExampleReader reads where every output of a row has a flag or a weight of its own.
#include "api/example_reader.hpp"
#include "base/finite.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// A row goes where its flag, or all of its outputs' flags, are off.
void ExampleReader::read_kept(const Buffers& to) {
  const Index columns = std::max<Index>(1, mask_outputs_);
  std::uint8_t* kept = to.kept;
  Index gone = 0;
  for (Index t = 0; t < sets_; ++t) {
    to.starts[t] = kept - to.kept;
    const std::uint8_t* flags =
        array_of(in_.mask, t).as<std::uint8_t>() + entry(in_.mask, t, 0, columns);
    for (Index row = 0; row < count(t); ++row, flags += columns) {
      std::uint8_t any = 0;
      for (Index j = 0; j < columns; ++j) any |= flags[j];
      gone += any == 0 ? 1 : 0;
      *kept++ = any;
    }
  }
  if (gone == 0) return;
  starts_ = to.starts;
  kept_ = to.kept;
}

/// The flags of the rows that stay, 0 or 1.
void ExampleReader::read_known(const Buffers& to) const {
  std::uint8_t* known = to.known;
  const Index columns = mask_outputs_;
  for (Index t = 0; t < sets_; ++t) {
    const std::uint8_t* const flags =
        array_of(in_.mask, t).as<std::uint8_t>() + entry(in_.mask, t, 0, columns);
    const auto take = [&](Index first, Index rows) {
      const std::uint8_t* const from = flags + first * columns;
      for (Index i = 0; i < rows * columns; ++i) known[i] = from[i] != 0 ? 1 : 0;
      known += rows * columns;
    };
    in_kept_rows(t, take);
  }
}

/// Numbers [rows, outputs] of the rows that stay: 0 where they are not known, else finite unless
/// nobody checks.
template <class T>
bool ExampleReader::read_known_numbers(const Argument& field, bool checks, T* to,
                                       Fault& fault) const {
  const Index columns = mask_outputs_;
  for (Index t = 0; t < sets_; ++t) {
    const std::uint8_t* const flags =
        array_of(in_.mask, t).as<std::uint8_t>() + entry(in_.mask, t, 0, columns);
    const T* const numbers = array_of(field, t).as<T>() + entry(field, t, 0, columns);
    bool fine = true;
    in_kept_rows(t, [&](Index first, Index rows) {
      const Index from = first * columns, size = rows * columns;
      for (Index i = 0; i < size; ++i) to[i] = flags[from + i] != 0 ? numbers[from + i] : T(0);
      fine = fine && (!checks || all_finite(to, size));
      to += size;
    });
    if (fine) continue;
    Index bad = 0;
    while (flags[bad] == 0 || numbers[bad] - numbers[bad] == T(0)) ++bad;
    place(field, t, bad / columns, bad % columns, fault);
    fault.value = static_cast<double>(numbers[bad]);
    fault.reason = &field == &in_.weights ? Reason::never_finite : Reason::not_finite;
    return false;
  }
  return true;
}

/// Weight / n, n being how many targets of the task are known; 0 where one is not.
template <class T>
void ExampleReader::read_coefficients_of_outputs(const Buffers& to) const {
  const Index columns = in_.y.array().shape.last();
  const T* const weights = static_cast<const T*>(to.weights);
  T* const coefficients = static_cast<T*>(to.coefficients);
  for (Index t = 0; t < sets_; ++t) {
    const Index first = to.offsets[t] * columns, last = to.offsets[t + 1] * columns;
    Index n = last - first;
    if (to.known != nullptr) {
      n = 0;
      for (Index i = first; i < last; ++i) n += to.known[i];
    }
    if (weights == nullptr) {
      std::fill(coefficients + first, coefficients + last, T(1) / static_cast<T>(n));
    } else if (weight_outputs_ > 0) {
      for (Index i = first; i < last; ++i) coefficients[i] = weights[i] / static_cast<T>(n);
    } else {
      for (Index row = to.offsets[t]; row < to.offsets[t + 1]; ++row) {
        std::fill_n(coefficients + row * columns, columns, weights[row] / static_cast<T>(n));
      }
    }
    for (Index i = first; to.known != nullptr && i < last; ++i) {
      coefficients[i] = to.known[i] != 0 ? coefficients[i] : T(0);
    }
  }
}

#define FOMAML_FAST_OUTPUTS(T)                                                              \
  template bool ExampleReader::read_known_numbers(const Argument&, bool, T*, Fault&) const; \
  template void ExampleReader::read_coefficients_of_outputs<T>(const Buffers&) const;
FOMAML_FAST_OUTPUTS(float)
FOMAML_FAST_OUTPUTS(double)
#undef FOMAML_FAST_OUTPUTS

}  // namespace FOMAML_FAST_NAMESPACE::api
