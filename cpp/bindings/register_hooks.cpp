#include "hooks.hpp"

namespace fomaml_fast_bindings {

namespace {

void raise(const py::object& exception) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
}

const char* kind_name(api::Fault::Kind kind) {
  switch (kind) {
    case api::Fault::Kind::type:
      return "type";
    case api::Fault::Kind::value:
      return "value";
    case api::Fault::Kind::overflow:
      return "overflow";
  }
  return "";
}

py::object exception_of(const api::Fault& fault) {
  char sentence[512];
  api::describe(fault, sentence, sizeof(sentence));
  std::string name = fault.name;
  if (fault.item >= 0) name += "[" + std::to_string(fault.item) + "]";
  return hooks().refused(kind_name(api::kind_of(fault.reason)), api::reason_name(fault.reason),
                         sentence, name, fault.other, api::dtype_name(fault.like),
                         api::dtype_name(fault.dtype));
}

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const Refused& refused) {
    raise(exception_of(refused.fault));
  } catch (const Diverged& diverged) {
    raise(hooks().diverged(diverged.tasks, diverged.step, diverged.n_tasks, diverged.what,
                           diverged.learners));
  }
}

}  // namespace

Hooks& hooks() {
  // Never destroyed: the interpreter may be gone before.
  static Hooks* const lent = new Hooks;
  return *lent;
}

void register_hooks(py::module_& m) {
  py::register_local_exception_translator(&translate);
  m.def(
      "set_hooks",
      [](py::object convert, py::object count, py::object flag, py::object refused,
         py::object diverged) {
        hooks() = {std::move(convert), std::move(count), std::move(flag), std::move(refused),
                   std::move(diverged)};
      },
      py::arg("convert"), py::arg("count"), py::arg("flag"), py::arg("refused"),
      py::arg("diverged"));
  py::list reasons;
#define FOMAML_FAST_FAULT(reason, kind, sentence) reasons.append(#reason);
#include "api/faults.def"
#undef FOMAML_FAST_FAULT
  m.attr("fault_reasons") = py::tuple(reasons);
}

}  // namespace fomaml_fast_bindings
