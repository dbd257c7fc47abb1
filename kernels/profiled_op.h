// Operations in a profile: what DLCUDA_DISPATCH tells of the call that it makes. Internal.
#pragma once

#include <span>
#include <vector>

#include "dlcuda/core/profile_recording.h"

namespace dlcuda::kernels {

/// Multiplications and additions of a convolution or a matrix product, from the tensors among its arguments;
/// 0 for every other operation. Padding counts like the rest of the picture, a bias does not count.
double flops_of(std::string_view op, std::span<const profile_detail::Argument> tensors);

/// Bytes of the elements; what is repeated along an axis (stride 0) counts once.
double bytes_of(const TensorView& view);

/// A struct of views that is an argument of its own: views.for_each_view(visit).
template <typename T>
concept HasViews = requires(const T& views) {
  views.for_each_view([](const TensorView&) {});
};

/// Gathers the tensors of a call. Those without memory (an absent bias) are left out.
class CallArguments {
 public:
  void add(const TensorView& view) {
    if (view.data != nullptr) {
      tensors.push_back({position, view});
      bytes += bytes_of(view);
    }
    ++position;
  }
  template <HasViews T>
  void add(const T& views) {
    views.for_each_view([&](const TensorView& view) {
      add(view);
      --position;  // all of them are one argument
    });
    ++position;
  }
  /// A list, as optimisers have them: too long to name its tensors, so only their bytes count.
  template <HasViews T>
  void add(std::span<const T> list) {
    for (const T& views : list) {
      views.for_each_view([&](const TensorView& view) { bytes += view.data ? bytes_of(view) : 0; });
    }
    ++position;
  }
  template <typename T>
  void add(const T&) {
    ++position;
  }

  std::vector<profile_detail::Argument> tensors;
  double bytes = 0;

 private:
  int position = 0;
};

template <typename... Arguments>
[[gnu::noinline, gnu::cold]] void begin_op(profile_detail::ProfileOp& op, const char* name, const char* texts,
                                           Device device, const Arguments&... arguments) {
  CallArguments call;
  (call.add(arguments), ...);
  op.begin({name, texts, device, flops_of(name, call.tensors), call.bytes}, call.tensors);
}

}  // namespace dlcuda::kernels
