#include "api/layer_choice.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

std::uint32_t LayerChoice::mask(int depth) const {
  const auto last = static_cast<unsigned>(depth - 1);
  switch (kind) {
    case Kind::all:
      return ~std::uint32_t{0};
    case Kind::head:
      return 1U << last;
    case Kind::body:
      return (1U << last) - 1U;
    case Kind::listed:
      break;
  }
  std::uint32_t bits = 0;
  for (int i = 0; i < n_layers; ++i) {
    const int layer = layers[i];
    bits |= 1U << static_cast<unsigned>(layer + (layer < 0) * depth);
  }
  return bits;
}

bool LayerChoice::fits(int depth, const char* argument, Fault& fault) const {
  fault.name = argument;
  fault.count = depth;
  if (kind == Kind::body && depth < 2) {
    fault.reason = Reason::body_of_one_layer;
    fault.got = depth;
    return false;
  }
  for (int i = 0; i < n_layers; ++i) {
    if (layers[i] >= -depth && layers[i] < depth) continue;
    fault.reason = Reason::layer_beyond;
    fault.got = layers[i];
    return false;
  }
  return true;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
