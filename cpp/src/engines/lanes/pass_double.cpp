#include "engines/lanes/pass.inl"

namespace FOMAML_FAST_NAMESPACE::lanes {

template struct Activity<double>;
template struct Tangents<double>;
FOMAML_FAST_INSTANTIATE_PASS(double, double)
FOMAML_FAST_INSTANTIATE_PASS(double, Vec<double>)

}  // namespace FOMAML_FAST_NAMESPACE::lanes
