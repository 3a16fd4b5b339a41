// The vector elementary functions against the C library in the next wider format.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"
#include "kernels/vector_math.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

template <class T>
struct Wider;
template <>
struct Wider<float> {
  using type = double;
};
template <>
struct Wider<double> {
  using type = long double;
};

/// |value - exact| in units of the last place of `exact`, or of `smallest` if that is larger.
/// Denormals may become 0.
template <class T>
double ulps(T value, typename Wider<T>::type exact, T smallest = std::numeric_limits<T>::min()) {
  using Limits = std::numeric_limits<T>;
  const T rounded = static_cast<T>(exact);
  if (std::isnan(rounded)) return std::isnan(value) ? 0 : 1e30;
  if (std::isinf(rounded) || std::isinf(value)) return value == rounded ? 0 : 1e30;
  const T size = std::max(std::abs(rounded), smallest);
  int exponent = 0;
  std::frexp(size, &exponent);
  const T ulp = std::ldexp(T(1), exponent - Limits::digits);
  return static_cast<double>(std::abs(static_cast<typename Wider<T>::type>(value) - exact) / ulp);
}

/// Largest error of `function` over `count` numbers of [low, high], half of them drawn evenly in
/// the logarithm of their size.
template <class T, class Function, class Exact>
double worst(const char* name, double low, double high, Function function, Exact exact,
             T smallest = std::numeric_limits<T>::min()) {
  using V = Vec<T>;
  std::mt19937_64 random(20240229);
  std::uniform_real_distribution<double> flat(low, high);
  const double widest = std::max(std::abs(low), std::abs(high));
  std::uniform_real_distribution<double> exponent(-40, std::log2(widest));
  double most = 0, where = 0;
  for (int i = 0; i < 60000; ++i) {
    T x[kLanes<T>], y[kLanes<T>];
    for (T& lane : x) {
      double drawn = flat(random);
      if (i % 2 == 0) drawn = std::copysign(std::exp2(exponent(random)), drawn);
      lane = static_cast<T>(std::clamp(drawn, low, high));
    }
    store(y, function(load<V>(x)));
    for (int lane = 0; lane < kLanes<T>; ++lane) {
      const double error =
          ulps<T>(y[lane], exact(static_cast<typename Wider<T>::type>(x[lane])), smallest);
      if (error > most) most = error, where = x[lane];
    }
  }
  std::printf("%-8s %-6s [%g, %g]: %.2f ulp, at %.17g\n", name, sizeof(T) == 4 ? "float" : "double",
              low, high, most, where);
  return most;
}

/// A logarithm and a step of Newton's method for exp(it) = x, where that is finite: the x87
/// logarithm of an emulator (Bochs 2.7) errs by more than ours may.
template <class W>
W polished(W logarithm, W step) {
  return std::isfinite(step) ? logarithm + step : logarithm;
}

/// `function` at one number, in every lane while the others hold something else.
template <class T, class Function>
bool gives(Function function, T x, T expected) {
  using V = Vec<T>;
  for (int lane = 0; lane < kLanes<T>; ++lane) {
    T in[kLanes<T>], out[kLanes<T>];
    std::fill_n(in, kLanes<T>, T(0.75));
    in[lane] = x;
    store(out, function(load<V>(in)));
    const bool same = std::isnan(expected) ? std::isnan(out[lane]) : out[lane] == expected;
    if (!same || std::isnan(out[(lane + 1) % kLanes<T>])) {
      std::printf("f(%g) = %.9g, not %.9g\n", double(x), double(out[lane]), double(expected));
      return false;
    }
  }
  return true;
}

template <class T>
void test(double exp_range, double sin_range, double bound_exp, double bound_expm1,
          double bound_log, double bound_tanh, double bound_sin) {
  using V = Vec<T>;
  using W = typename Wider<T>::type;
  using Limits = std::numeric_limits<T>;
  const T infinity = Limits::infinity(), nan = Limits::quiet_NaN(), largest = Limits::max();
  const auto exp = [](V x) { return math::exp(x); };
  const auto expm1 = [](V x) { return math::expm1(x); };
  const auto sin = [](V x) { return math::sin(x); };
  const auto cos = [](V x) { return math::cos(x); };
  const auto log = [](V x) { return math::log(x); };
  const auto log1p = [](V x) { return math::log1p(x); };
  const auto tanh = [](V x) { return math::tanh(x); };
  const auto sqrt = [](V x) { return math::sqrt(x); };
  const auto exact_exp = [](W x) { return std::exp(x); };
  const auto exact_expm1 = [](W x) { return std::expm1(x); };
  const auto exact_sin = [](W x) { return std::sin(x); };
  const auto exact_cos = [](W x) { return std::cos(x); };
  const auto exact_log = [](W x) {
    const W y = std::log(x);
    // Near 1 the first keeps its digits, near 0 the second.
    return polished(y, x > W(0.5) ? (x - 1 - std::expm1(y)) / x : x * std::exp(-y) - 1);
  };
  const auto exact_log1p = [](W x) {
    const W y = std::log1p(x);
    return polished(y, (x - std::expm1(y)) / (1 + x));
  };
  const auto exact_tanh = [](W x) { return std::tanh(x); };

  CHECK(worst<T>("exp", -exp_range, exp_range, exp, exact_exp) < bound_exp);
  CHECK(worst<T>("exp", -1, 1, exp, exact_exp) < bound_exp);
  CHECK(worst<T>("expm1", -exp_range, exp_range, expm1, exact_expm1) < bound_expm1);
  CHECK(worst<T>("expm1", -1, 1, expm1, exact_expm1) < bound_expm1);
  // In absolute terms: next to the other multiples of pi, the digits of pi run out.
  constexpr T kHalf = T(0.5);
  CHECK(worst<T>("sin", -sin_range, sin_range, sin, exact_sin, kHalf) < bound_sin);
  CHECK(worst<T>("cos", -sin_range, sin_range, cos, exact_cos, kHalf) < bound_sin);
  CHECK(worst<T>("sin", -20 * sin_range, 20 * sin_range, sin, exact_sin, kHalf) < bound_sin);
  CHECK(worst<T>("sin", -8, 8, sin, exact_sin, kHalf) < bound_sin);
  CHECK(worst<T>("cos", -8, 8, cos, exact_cos, kHalf) < bound_sin);
  CHECK(worst<T>("sin", -1.5, 1.5, sin, exact_sin) < bound_sin);
  CHECK(worst<T>("log", 0, double(largest), log, exact_log) < bound_log);
  CHECK(worst<T>("log", 0, 4, log, exact_log) < bound_log);
  CHECK(worst<T>("log", 0.9, 1.1, log, exact_log) < bound_log);
  CHECK(worst<T>("log1p", -1, 1, log1p, exact_log1p) < bound_log);
  CHECK(worst<T>("log1p", -0.01, 1000, log1p, exact_log1p) < bound_log);
  CHECK(worst<T>("tanh", -25, 25, tanh, exact_tanh) < bound_tanh);
  CHECK(worst<T>("tanh", -1, 1, tanh, exact_tanh) < bound_tanh);
  CHECK(worst<T>("sqrt", 0, double(largest), sqrt, [](W x) { return std::sqrt(x); }) <= 0.5);

  CHECK(gives<T>(exp, nan, nan));
  CHECK(gives<T>(exp, infinity, infinity));
  CHECK(gives<T>(exp, largest, infinity));
  CHECK(gives<T>(exp, -infinity, 0));
  CHECK(gives<T>(exp, -largest, 0));
  CHECK(gives<T>(exp, 0, 1));
  CHECK(gives<T>(expm1, nan, nan));
  CHECK(gives<T>(expm1, infinity, infinity));
  CHECK(gives<T>(expm1, largest, infinity));
  CHECK(gives<T>(expm1, -infinity, -1));
  CHECK(gives<T>(expm1, -largest, -1));
  CHECK(gives<T>(expm1, 0, 0));
  for (const T odd : {nan, infinity, -infinity}) {
    CHECK(gives<T>(sin, odd, nan));
    CHECK(gives<T>(cos, odd, nan));
  }
  CHECK(gives<T>(sin, 0, 0));
  CHECK(gives<T>(cos, 0, 1));
  CHECK(gives<T>(sin, largest, std::sin(largest)));
  CHECK(gives<T>(cos, -largest, std::cos(largest)));
  CHECK(gives<T>(log, nan, nan));
  CHECK(gives<T>(log, infinity, infinity));
  CHECK(gives<T>(log, 0, -infinity));
  CHECK(gives<T>(log, -1, nan));
  CHECK(gives<T>(log, -infinity, nan));
  CHECK(gives<T>(log, 1, 0));
  CHECK(gives<T>(log1p, nan, nan));
  CHECK(gives<T>(log1p, infinity, infinity));
  CHECK(gives<T>(log1p, -1, -infinity));
  CHECK(gives<T>(log1p, -2, nan));
  CHECK(gives<T>(log1p, 0, 0));
  CHECK(gives<T>(tanh, nan, nan));
  CHECK(gives<T>(tanh, infinity, 1));
  CHECK(gives<T>(tanh, -infinity, -1));
  CHECK(gives<T>(tanh, largest, 1));
  CHECK(gives<T>(tanh, 0, 0));
  CHECK(gives<T>(sqrt, nan, nan));
  CHECK(gives<T>(sqrt, -1, nan));
  CHECK(gives<T>(sqrt, infinity, infinity));
  CHECK(gives<T>(sqrt, 0, 0));
}

}  // namespace

int main() {
  test<float>(104, 1e4, 1.5, 3, 1.2, 6, 2);
  test<double>(746, 1e5, 1.5, 3, 1.2, 3.2, 2);
  return check::report();
}
