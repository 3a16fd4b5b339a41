// Definitions of products.hpp, for the one file per scalar type that instantiates them.
#pragma once

#include "base/parallel.hpp"
#include "engines/engine.hpp"
#include "engines/rows/products.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace detail {

template <class T>
struct Scale {
  static constexpr bool piles = true;
  T scale;
  [[nodiscard]] Scale at(Index /*row*/, Index /*vector*/) const { return *this; }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int /*row*/, int /*vector*/) const {
    return sum * scale;
  }
};

template <class Activation>
struct Apply {
  static constexpr bool piles = false;
  [[nodiscard]] Apply at(Index /*row*/, Index /*vector*/) const { return *this; }
  template <class V>
  FOMAML_FAST_INLINE V operator()(V sum, int /*row*/, int /*vector*/) const {
    return Activation::apply(sum);
  }
};

template <class T, class Activation>
struct TimesDerivative {
  static constexpr bool piles = false;
  const T* h;
  Index stride;
  [[nodiscard]] TimesDerivative at(Index row, Index vector) const {
    return {h + row * stride + vector * kLanes<T>, stride};
  }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int row, int vector) const {
    return sum * Activation::d1(load<Vec<T>>(h + row * stride + vector * kLanes<T>));
  }
};

template <class T, class Activation>
struct KeepTimesDerivative {
  static constexpr bool piles = false;
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
  static constexpr bool piles = false;
  const T *h, *u, *rz;
  Index stride;
  [[nodiscard]] DerivativeTangent at(Index row, Index vector) const {
    const Index place = row * stride + vector * kLanes<T>;
    return {h + place, u + place, rz + place, stride};
  }
  FOMAML_FAST_INLINE Vec<T> operator()(Vec<T> sum, int row, int vector) const {
    const Index place = row * stride + vector * kLanes<T>;
    return derivative_tangent<Activation>(load<Vec<T>>(h + place), load<Vec<T>>(u + place), sum,
                                          load<Vec<T>>(rz + place));
  }
};

/// The product, by several workers if it is worth that and some are idle. Each element is the sum
/// that it would be anyway.
template <class T, class Finish>
void multiply_shared(const Product<T>& p, const Finish& finish) {
  const Index panels = panel_count(p.vectors);
  if (panels == 1 || !is_worth_sharing(p.rows, p.vectors * kLanes<T>, p.depth)) {
    return multiply(p, finish);
  }
  const auto workers = std::min<Index>(parallel::Spare::workers(), panels);
  if (workers <= 1) return multiply(p, finish);
  // Some pieces a worker, for whoever comes late.
  constexpr Index kPieces = 4;
  const Index pieces = std::min(panels, kPieces * workers);
  parallel::run(static_cast<int>(workers), {}, [&](Team& team) {
    team.share(pieces, [&](Index piece) {
      const Index first = panels * piece / pieces, last = panels * (piece + 1) / pieces;
      multiply(some_panels(p, first, last), finish.at(0, panel_of(p.vectors, first).first));
    });
  });
}

}  // namespace detail

template <class T>
void multiply_add(const Product<T>& product) {
  detail::multiply_shared(product, Store{});
}

template <class T>
void multiply_scaled(const Product<T>& product, T scale) {
  detail::multiply_shared(product, detail::Scale<T>{scale});
}

template <class T>
void multiply_apply(const Product<T>& product, ActivationId activation) {
  if (activation == ActivationId::relu) {
    detail::multiply_shared(product, detail::Apply<activations::Relu>{});
  } else if (activation == ActivationId::tanh) {
    detail::multiply_shared(product, detail::Apply<activations::Tanh>{});
  } else {
    detail::multiply_shared(product, Store{});
  }
}

template <class T>
void multiply_derivative(const Product<T>& product, ActivationId activation, const T* h,
                         Index stride) {
  if (activation == ActivationId::relu) {
    detail::multiply_shared(product, detail::TimesDerivative<T, activations::Relu>{h, stride});
  } else if (activation == ActivationId::tanh) {
    detail::multiply_shared(product, detail::TimesDerivative<T, activations::Tanh>{h, stride});
  } else {
    detail::multiply_shared(product, Store{});
  }
}

template <class T>
void multiply_derivative_keep(const Product<T>& product, const T* h, Index stride, T* kept) {
  detail::multiply_shared(product,
                          detail::KeepTimesDerivative<T, CurvatureFused>{{h, stride}, kept});
}

template <class T>
void multiply_derivative_rule(const Product<T>& product, const T* h, const T* u, const T* rz,
                              Index stride) {
  detail::multiply_shared(product, detail::DerivativeTangent<T, CurvatureFused>{h, u, rz, stride});
}

#define FOMAML_FAST_ROWS_PRODUCTS(T)                                                      \
  template void multiply_add<T>(const Product<T>&);                                       \
  template void multiply_scaled<T>(const Product<T>&, T);                                 \
  template void multiply_apply<T>(const Product<T>&, ActivationId);                       \
  template void multiply_derivative<T>(const Product<T>&, ActivationId, const T*, Index); \
  template void multiply_derivative_keep<T>(const Product<T>&, const T*, Index, T*);      \
  template void multiply_derivative_rule<T>(const Product<T>&, const T*, const T*, const T*, Index);

}  // namespace FOMAML_FAST_NAMESPACE::rows
