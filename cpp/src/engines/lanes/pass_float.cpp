#include "engines/lanes/pass.inl"

namespace FOMAML_FAST_NAMESPACE::lanes {

template struct Activity<float>;
template struct Tangents<float>;
FOMAML_FAST_INSTANTIATE_PASS(float, float)
FOMAML_FAST_INSTANTIATE_PASS(float, Vec<float>)

}  // namespace FOMAML_FAST_NAMESPACE::lanes
