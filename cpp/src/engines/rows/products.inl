// Definitions of products.hpp, for the one file per scalar type that instantiates them.
#pragma once

#include "base/parallel.hpp"
#include "engines/engine.hpp"
#include "engines/rows/products.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace detail {

template <class T>
struct Scale {
  static constexpr bool batches = true;
  T scale;
  [[nodiscard]] Scale at(Index /*row*/, Index /*vector*/) const { return *this; }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int /*row*/, int /*vector*/) const {
    return sum * scale;
  }
};

template <class Activation>
struct Apply {
  static constexpr bool batches = false;
  [[no_unique_address]] Activation activation;
  [[nodiscard]] Apply at(Index /*row*/, Index /*vector*/) const { return *this; }
  template <class V>
  FOMAML_FAST_INLINE V operator()(V sum, int /*row*/, int /*vector*/) const {
    return activation.apply(sum);
  }
};

template <class T, class Activation>
struct TimesDerivative {
  static constexpr bool batches = false;
  [[no_unique_address]] Activation activation;
  const T* h;
  Index stride;
  [[nodiscard]] TimesDerivative at(Index row, Index vector) const {
    return {activation, h + row * stride + vector * kLanes<T>, stride};
  }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int row, int vector) const {
    return sum * activation.d1(load<Vec<T>>(h + row * stride + vector * kLanes<T>));
  }
};

template <class T, class Activation>
struct KeepTimesDerivative {
  static constexpr bool batches = false;
  TimesDerivative<T, Activation> times;
  T* kept;
  [[nodiscard]] KeepTimesDerivative at(Index row, Index vector) const {
    return {times.at(row, vector), kept + row * times.stride + vector * kLanes<T>};
  }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int row, int vector) const {
    store(kept + row * times.stride + vector * kLanes<T>, sum);
    return times(sum, row, vector);
  }
};

template <class T, class Activation>
struct DerivativeTangent {
  static constexpr bool batches = false;
  [[no_unique_address]] Activation activation;
  const T *h, *u, *rz;
  Index stride;
  [[nodiscard]] DerivativeTangent at(Index row, Index vector) const {
    const Index place = row * stride + vector * kLanes<T>;
    return {activation, h + place, u + place, rz + place, stride};
  }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int row, int vector) const {
    const Index place = row * stride + vector * kLanes<T>;
    return derivative_tangent(activation, load<Vec<T>>(h + place), load<Vec<T>>(u + place), sum,
                              load<Vec<T>>(rz + place));
  }
};

/// The product, in pieces between which the caller may stop it. Each element is the sum that it
/// would be anyway.
template <class T, class Finish>
[[gnu::noinline]] void multiply_in_pieces(const Product<T>& p, const Finish& finish, Index work) {
  // Thinner pieces would fetch the other operand too often.
  constexpr Index kThinnest = 256;
  Index pieces = work / Watch::kLongest + 1;
  const bool by_rows = p.rows >= kThinnest * pieces && p.start.packed == 0 && p.c.packed == 0;
  const bool by_depth = !by_rows && p.depth >= kThinnest * pieces && p.b.packed == 0;
  if (!by_rows && !by_depth) pieces = std::min(pieces, panel_count(p.vectors));
  Watch& watch = Watch::of_thread();
  Product<T> part = p;
  for (Index i = 0; i < pieces && !watch.stopped(work / pieces); ++i) {
    if (by_rows) {
      const Index first = p.rows * i / pieces;
      part.rows = p.rows * (i + 1) / pieces - first;
      part.a.data = p.a.data + first * p.a.row_step;
      part.start.data = p.start.data + first * p.start.row_step;
      part.c.data = p.c.data + first * p.c.row_step;
      multiply(part, finish.at(first, 0));
    } else if (by_depth) {
      const Index first = p.depth * i / pieces;
      part.depth = p.depth * (i + 1) / pieces - first;
      part.a.data = p.a.data + first * p.a.depth_step;
      part.b.data = p.b.data + first * p.b.row_step;
      i + 1 < pieces ? multiply(part, Store{}) : multiply(part, finish);
      part.start = p.c;
    } else {
      const Index panels = panel_count(p.vectors), first = panels * i / pieces;
      multiply(some_panels(p, first, panels * (i + 1) / pieces),
               finish.at(0, panel_of(p.vectors, first).first));
    }
  }
}

/// The product; small ones would feel more than the question.
template <class T, class Finish>
FOMAML_FAST_INLINE void multiply_watched(const Product<T>& p, const Finish& finish) {
  const Index work = 2 * p.rows * p.vectors * kLanes<T> * p.depth;
  if (work < Watch::kLongest) [[likely]]
    return multiply(p, finish);
  multiply_in_pieces(p, finish, work);
}

/// The product, by several workers if it is worth that and some are idle. Each element is the sum
/// that it would be anyway.
template <class T, class Body>
FOMAML_FAST_INLINE void share_panels(const Product<T>& p, const Body& body) {
  const Index panels = panel_count(p.vectors);
  if (panels == 1 || !is_worth_sharing(p.rows, p.vectors * kLanes<T>, p.depth)) {
    return body(p, Index{0});
  }
  const auto workers = std::min<Index>(parallel::Spare::workers(), panels);
  if (workers <= 1) return body(p, Index{0});
  // Some pieces a worker, for whoever comes late.
  constexpr Index kPieces = 4;
  const Index pieces = std::min(panels, kPieces * workers);
  Watch& watch = Watch::of_thread();
  parallel::run(static_cast<int>(workers), {}, [&](Team& team) {
    const Watch::Region helps(watch);
    team.share(pieces, [&](Index piece) {
      const Index first = panels * piece / pieces, last = panels * (piece + 1) / pieces;
      body(some_panels(p, first, last), panel_of(p.vectors, first).first);
    });
  });
}

template <class T, class Finish>
void multiply_shared(const Product<T>& p, const Finish& finish) {
  share_panels(p, [&](const Product<T>& part, Index first) {
    multiply_watched(part, first == 0 ? finish : finish.at(0, first));
  });
}

}  // namespace detail

template <class T>
void multiply_add(const Product<T>& product) {
  detail::multiply_shared(product, Store{});
}

template <class T>
void multiply_add_rows(const Product<T>& p, const LongSums<T>& buffers) {
  if (p.depth <= kFewTerms) return multiply_add(p);
  detail::share_panels(p, [&](const Product<T>& part, Index first) {
    multiply_long(part, buffers.from(p.rows, first));
  });
}

template <class T>
void multiply_accumulate(const Product<T>& product) {
  using namespace FOMAML_FAST_NAMESPACE::detail;
  Product<T> p = product;
  p.start = p.c;
  for_each_panel(p.vectors, [&](Panel panel) {
    Tile<T> tile = tile_of(p, panel);
    const Parts stretches(p.depth, longest_stretch(panel.count));
    for (Index i = 0; i < stretches.count; ++i) {
      tile.depth = stretches.length(i);
      multiply_panel(tile, p.rows, panel.count, StoreAdded{}, 0);
      tile.a += tile.depth * tile.a_depth;
      tile.b += tile.depth * tile.b_row;
    }
  });
}

template <class T>
void multiply_scaled(const Product<T>& product, T scale) {
  detail::multiply_shared(product, detail::Scale<T>{scale});
}

template <class T>
void multiply_apply(const Product<T>& product, const ActivationSpec& activation) {
  visit_activation(activation, [&]<class A>(const A& a) {
    if constexpr (A::is_identity) {
      detail::multiply_shared(product, Store{});
    } else if constexpr (A::fusion != Fusion::none) {
      detail::multiply_shared(product, detail::Apply<A>{a});
    }
  });
}

template <class T>
void multiply_derivative(const Product<T>& product, const ActivationSpec& activation, const T* h,
                         Index stride) {
  visit_activation(activation, [&]<class A>(const A& a) {
    if constexpr (A::is_identity) {
      detail::multiply_shared(product, Store{});
    } else if constexpr (A::fusion != Fusion::none) {
      detail::multiply_shared(product, detail::TimesDerivative<T, A>{a, h, stride});
    }
  });
}

template <class T>
void multiply_derivative_keep(const Product<T>& product, const ActivationSpec& activation,
                              const T* h, Index stride, T* kept) {
  visit_activation(activation, [&]<class A>(const A& a) {
    if constexpr (A::fusion != Fusion::none && A::curved) {
      detail::multiply_shared(product, detail::KeepTimesDerivative<T, A>{{a, h, stride}, kept});
    }
  });
}

template <class T>
void multiply_derivative_rule(const Product<T>& product, const ActivationSpec& activation,
                              const T* h, const T* u, const T* rz, Index stride) {
  visit_activation(activation, [&]<class A>(const A& a) {
    if constexpr (A::fusion != Fusion::none && A::curved) {
      detail::multiply_shared(product, detail::DerivativeTangent<T, A>{a, h, u, rz, stride});
    }
  });
}

#define FOMAML_FAST_ROWS_PRODUCTS(T)                                                               \
  template void multiply_add<T>(const Product<T>&);                                                \
  template void multiply_add_rows<T>(const Product<T>&, const LongSums<T>&);                       \
  template void multiply_accumulate<T>(const Product<T>&);                                         \
  template void multiply_scaled<T>(const Product<T>&, T);                                          \
  template void multiply_apply<T>(const Product<T>&, const ActivationSpec&);                       \
  template void multiply_derivative<T>(const Product<T>&, const ActivationSpec&, const T*, Index); \
  template void multiply_derivative_keep<T>(const Product<T>&, const ActivationSpec&, const T*,    \
                                            Index, T*);                                            \
  template void multiply_derivative_rule<T>(const Product<T>&, const ActivationSpec&, const T*,    \
                                            const T*, const T*, Index);

}  // namespace FOMAML_FAST_NAMESPACE::rows
