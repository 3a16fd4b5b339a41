#include "api/posterior.hpp"

#include "base/finite.hpp"
#include "engines/reference/online_head.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// The state of a head, and room for one row.
template <class T>
struct Open {
  reference::OnlineHead<T> head;
  T *phi, *weights;

  Open(const inner::HeadSpec& spec, Index m, Index n, Index groups, Arena& arena)
      : head(spec, m, n, groups, arena), phi(arena.take<T>(m)), weights(arena.take<T>(groups)) {}
};

}  // namespace

Posterior::Posterior(const Algorithm& algorithm, const Network& net, DType dtype, bool per_output)
    : spec_(algorithm.spec.head),
      dtype_(dtype),
      m_(net.spec.features()),
      n_(net.spec.outputs()),
      groups_(per_output ? n_ : 1) {}

template <class T>
auto Posterior::open(std::byte* memory) const {
  Arena arena(memory);
  return Open<T>(spec_, m_, n_, groups_, arena);
}

std::size_t Posterior::bytes() const {
  return visit_float(dtype_, [&]<class T>(T) {
    Arena arena;
    static_cast<void>(Open<T>(spec_, m_, n_, groups_, arena));
    return arena.used();
  });
}

template <class T>
bool Posterior::begin(std::byte* memory, const T* numbers, const T* head) const {
  return open<T>(memory).head.begin(numbers, spec_.zero_mean ? nullptr : head);
}

template <class T>
bool Posterior::update(std::byte* memory, const Examples& rows, Index first, Index last,
                       const T* features, double forget) const {
  auto state = open<T>(memory);
  const T* const y = static_cast<const T*>(rows.y);
  const T* const given = static_cast<const T*>(rows.weights);
  state.phi[m_ - 1] = 1;
  for (Index row = first; row < last; ++row) {
    std::copy_n(features + row * (m_ - 1), m_ - 1, state.phi);
    for (Index g = 0; g < groups_; ++g) {
      const Index at = row * n_ + g;
      T weight = 1;
      if (given != nullptr) weight = given[rows.weighs_outputs ? at : row];
      if (rows.known != nullptr && rows.known[at] == 0) weight = 0;
      state.weights[g] = weight;
    }
    if (!state.head.update(state.phi, y + row * n_, state.weights, forget)) return false;
  }
  return true;
}

Index Posterior::stretch(bool forgets) const {
  constexpr Index kNumbers = Index{1} << 24;
  return std::max<Index>(1, kNumbers / (groups_ * m_ * m_ * (forgets ? m_ : 1)));
}

template <class T>
bool Posterior::predict(std::byte* memory, const T* features, Index rows, T* means, T* deviations,
                        T* room) const {
  const auto state = open<T>(memory);
  T* const phi = room;
  phi[m_ - 1] = 1;
  for (Index row = 0; row < rows; ++row) {
    std::copy_n(features + row * (m_ - 1), m_ - 1, phi);
    state.head.predict(phi, means + row * n_,
                       deviations == nullptr ? nullptr : deviations + row * n_, room + m_);
  }
  const Index size = rows * n_;
  return all_finite(means, size) && (deviations == nullptr || all_finite(deviations, size));
}

template <class T>
void Posterior::read(std::byte* memory, T* head, T* roots, T* noise) const {
  auto state = open<T>(memory);
  std::copy_n(state.head.weights(), m_ * n_, head);
  for (Index g = 0; g < groups_; ++g) {
    std::copy_n(state.head.root(g), m_ * m_, roots + g * m_ * m_);
  }
  for (Index j = 0; j < n_; ++j) noise[j] = static_cast<T>(state.head.noise(j));
}

#define FOMAML_FAST_INSTANTIATE(T)                                                             \
  template bool Posterior::begin(std::byte*, const T*, const T*) const;                        \
  template bool Posterior::update(std::byte*, const Examples&, Index, Index, const T*, double) \
      const;                                                                                   \
  template bool Posterior::predict(std::byte*, const T*, Index, T*, T*, T*) const;             \
  template void Posterior::read(std::byte*, T*, T*, T*) const;
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::api
