#include "api/directions.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// The first normalisation of the network.
Norm norm_of(const NetworkSpec& net) {
  for (int l = 0; l < net.depth; ++l) {
    if (net.normalized(l)) return net.norm(l);
  }
  return Norm::none;
}

}  // namespace

bool has_jets(const NetworkSpec& net, const char* name, Fault& fault) {
  const Norm norm = norm_of(net);
  if (norm == Norm::none) return true;
  fault.reason = Reason::jets_of_norm;
  fault.name = name;
  fault.text = kNormNames[static_cast<std::size_t>(norm)];
  return false;
}

bool check_directions(const Argument& directions, const Network& net, DType dtype, Fault& fault) {
  if (!has_jets(net.spec, directions.name, fault)) return false;
  fault.name = directions.name;
  const auto wrong = [&](Reason reason) {
    fault.reason = reason;
    return false;
  };
  if (!directions.given()) return wrong(Reason::missing);
  const Array& array = directions.array();
  fault.dtype = array.dtype;
  fault.shape = array.shape;
  if (!is_float(array.dtype)) return wrong(Reason::not_float);
  if (array.dtype != dtype) {
    fault.other = "theta";
    fault.like = dtype;
    return wrong(Reason::dtype_differs);
  }
  fault.count = net.spec.inputs();
  const bool fits = array.shape.axes == 2 && array.shape[0] > 0 && array.shape[1] == fault.count;
  return fits || wrong(Reason::directions_shape);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
