// core/cuda/runtime.cpp and launch.cuh against the mock: what is found, what errors say, what is released.
#include "dlcuda/core/cuda/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/core/error.h"
#include "dlcuda/tests/hostcuda/sample_kernels.h"
#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CudaRuntime : public testing::Test {
 protected:
  void TearDown() override { reset(); }

  template <typename Run>
  static std::string device_error(Run run) {
    try {
      run();
    } catch (const DeviceError& error) {
      return error.what();
    }
    ADD_FAILURE() << "no DeviceError";
    return "";
  }
};

TEST_F(CudaRuntime, ProbeFindsTheShim) {
  const auto found = cuda::probe();
  EXPECT_EQ(found.count, 1);
  EXPECT_THAT(
      found.names,
      testing::ElementsAre("host shim (CUDA kernels executed on the CPU) (compute capability 9.0, 16 GiB)"));
}

TEST_F(CudaRuntime, ProbeSaysWhyThereIsNone) {
  DeviceModel model;
  model.driver_version = 0;
  set_device_model(model);
  EXPECT_EQ(cuda::probe().reason, "no CUDA driver found");
  EXPECT_THAT(cuda::probe().looked_for, AllOf(HasSubstr("libcuda.so.1"), HasSubstr("CUDA_VISIBLE_DEVICES")));
  model.driver_version = 11040;
  set_device_model(model);
  EXPECT_EQ(cuda::probe().reason,
            "the CUDA driver is too old for this build (it supports CUDA 11.4, this build needs 13.0)");
  model = {};
  model.count = 0;
  set_device_model(model);
  EXPECT_EQ(cuda::probe().reason, "no CUDA device found");
  EXPECT_EQ(cuda::probe().count, 0);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "a probe leaves no error behind";
  reset();
  fail_call(2, cudaErrorInitializationError);
  EXPECT_THAT(cuda::probe().reason, HasSubstr("cudaErrorInitializationError"));
}

TEST_F(CudaRuntime, ExhaustedMemoryIsANullPointer) {
  fail_allocation(1);
  EXPECT_EQ(cuda::allocate(0, 100), nullptr);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess) << "and no error stays behind";
  fail_allocation(1);
  EXPECT_EQ(cuda::allocate_pinned(100), nullptr);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  fail_allocation(1, cudaErrorIllegalAddress);
  EXPECT_THROW(cuda::allocate(0, 100), DeviceError);
}

TEST_F(CudaRuntime, ErrorsNameExpressionPlaceAndLastLaunch) {
  sample::nothing(1, 32, 0);
  cuda::synchronize(0, nullptr);  // the first use in a thread has one call more: it binds the device
  fail_call(2, cudaErrorLaunchFailure);
  EXPECT_THAT(device_error([] { cuda::synchronize(0, nullptr); }),
              AllOf(HasSubstr("cudaErrorLaunchFailure"), HasSubstr("cudaStreamSynchronize"),
                    HasSubstr("runtime.cpp:"), HasSubstr("earlier asynchronous launch"),
                    HasSubstr("'nothing'"), testing::Not(HasSubstr("unusable"))));
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  fail_call(2, cudaErrorIllegalAddress, /*sticky=*/true);
  EXPECT_THAT(device_error([] { cuda::synchronize(0, nullptr); }), HasSubstr("unusable"));
}

TEST_F(CudaRuntime, ALostDeviceTellsWhatItWasLostBy) {
  sample::nothing(1, 32, 0);
  cuda::synchronize(0, nullptr);
  fail_call(2, cudaErrorIllegalAddress, /*sticky=*/true);
  const std::string first = device_error([] { cuda::synchronize(0, nullptr); });
  const auto names_the_first =
      AllOf(HasSubstr("cuda:0 is unusable for the rest of this process. What made it so: "
                      "cudaErrorIllegalAddress"),
            HasSubstr("cudaStreamSynchronize"), HasSubstr("'nothing'"));
  EXPECT_THAT(first, testing::Not(HasSubstr("What made it so")));
  EXPECT_THAT(device_error([] { cuda::create_event(0, false); }), names_the_first);
  EXPECT_THAT(device_error([] { sample::nothing(1, 32, 0); }), names_the_first);
  EXPECT_THAT(device_error([] { cuda::allocate(0, 512); }), names_the_first);
  // Another thread's launches have nothing to do with it.
  std::thread([&] { EXPECT_THAT(device_error([] { cuda::create_stream(0); }), names_the_first); }).join();
}

TEST_F(CudaRuntime, FailedLaunchesAreNamed) {
  fail_call(1, cudaErrorNoKernelImageForDevice);
  EXPECT_THAT(device_error([] { sample::nothing(1, 32, 0); }),
              AllOf(HasSubstr("cudaErrorNoKernelImageForDevice"), HasSubstr("nothing")));
}

TEST_F(CudaRuntime, LaunchLimits) {
  EXPECT_NO_THROW(sample::nothing(dim3(1, 2, 3), dim3(1, 16, 64), 48 << 10));
  EXPECT_THROW(sample::nothing(1, 0, 0), DeviceError);
  EXPECT_THROW(sample::nothing(1, 1025, 0), DeviceError);
  EXPECT_THROW(sample::nothing(1, dim3(32, 33, 1), 0), DeviceError);
  EXPECT_THROW(sample::nothing(1, dim3(1, 1, 65), 0), DeviceError);
  EXPECT_THROW(sample::nothing(dim3(1, 65536, 1), 32, 0), DeviceError);
  EXPECT_THROW(sample::nothing(dim3(1, 1, 65536), 32, 0), DeviceError);
  EXPECT_THROW(sample::nothing(dim3(1u << 31, 1, 1), 32, 0), DeviceError);
  EXPECT_THAT(device_error([] { sample::nothing(1, 32, (227 << 10) + 1); }), HasSubstr("232449 bytes"));
}

TEST_F(CudaRuntime, CopiesFillsAndMeasures) {
  const std::vector<int> values{1, 2, 3, 4, 5, 6};
  std::vector<int> back(6);
  void* memory = cuda::allocate(0, 24);
  void* stream = cuda::create_stream(0);
  void* start = cuda::create_event(0, true);
  void* end = cuda::create_event(0, true);
  cuda::record_event(0, start, stream);
  cuda::copy(0, memory, values.data(), 24, stream);
  cuda::copy(0, back.data(), memory, 24, stream);
  cuda::record_event(0, end, stream);
  cuda::wait_event(0, end, nullptr);
  cuda::synchronize_event(0, end);
  cuda::synchronize(0, stream);
  EXPECT_TRUE(cuda::event_finished(0, end));
  EXPECT_GE(cuda::elapsed_ms(0, start, end), 0.0f);
  EXPECT_EQ(back, values);
  cuda::copy_2d(0, back.data(), 4, static_cast<int*>(memory) + 1, 8, 4, 3, stream);
  EXPECT_THAT(back, testing::ElementsAre(2, 4, 6, 4, 5, 6));
  cuda::fill_bytes(0, memory, 0, 24, stream);
  cuda::copy(0, back.data(), memory, 24, stream);
  EXPECT_THAT(back, testing::Each(0));
  std::size_t free_bytes = 0, total_bytes = 0;
  cuda::memory_info(0, &free_bytes, &total_bytes);
  EXPECT_EQ(total_bytes - free_bytes, counters().device_bytes);
  cuda::destroy_event(0, start);
  cuda::destroy_event(0, end);
  cuda::destroy_stream(0, stream);
  cuda::deallocate(0, memory);
  void* pinned = cuda::allocate_pinned(64);
  ASSERT_NE(pinned, nullptr);
  cuda::deallocate_pinned(pinned);
  EXPECT_EQ(describe_live(), "");
}

TEST_F(CudaRuntime, DeviceScopeRestoresTheDevice) {
  DeviceModel model;
  model.count = 2;
  set_device_model(model);
  int device = -1;
  {
    const cuda::DeviceScope scope(1);
    cudaGetDevice(&device);
    EXPECT_EQ(device, 1);
  }
  cudaGetDevice(&device);
  EXPECT_EQ(device, 0);
  EXPECT_THROW(cuda::DeviceScope(2), DeviceError);
}

}  // namespace
}  // namespace dlcuda::hostcuda
