// Matrix product by cuBLASLt: out (M, N) = op(a) op(b) + bias, row-major, or a batch of them; f32 (TF32 where
// kernels/precision.h allows it), f16 and bf16 with f32 arithmetic. out is overwritten.
//
// cuBLASLt is column-major. A row-major matrix is the transpose of the column-major one in the same memory,
// so that out^T = op(b)^T op(a)^T is computed with the operands exchanged and nothing is moved. The bias
// belongs to the rows of out^T, as its epilogue wants it.
#include "dlcuda/kernels/matmul.h"

#include <cublasLt.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/cuda/library.h"
#include "dlcuda/kernels/cuda/stream.h"
#include "dlcuda/kernels/precision.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr std::size_t kMaxWorkspaceBytes = std::size_t{32} << 20;

/// The functions of cuBLASLt that are used.
struct CublasLt {
#define DLCUDA_CUBLASLT(function) decltype(&::function) function
  DLCUDA_CUBLASLT(cublasLtCreate);
  DLCUDA_CUBLASLT(cublasLtGetStatusString);
  DLCUDA_CUBLASLT(cublasLtMatmul);
  DLCUDA_CUBLASLT(cublasLtMatmulAlgoGetHeuristic);
  DLCUDA_CUBLASLT(cublasLtMatmulDescCreate);
  DLCUDA_CUBLASLT(cublasLtMatmulDescDestroy);
  DLCUDA_CUBLASLT(cublasLtMatmulDescSetAttribute);
  DLCUDA_CUBLASLT(cublasLtMatrixLayoutCreate);
  DLCUDA_CUBLASLT(cublasLtMatrixLayoutDestroy);
  DLCUDA_CUBLASLT(cublasLtMatrixLayoutSetAttribute);
  DLCUDA_CUBLASLT(cublasLtMatmulPreferenceCreate);
  DLCUDA_CUBLASLT(cublasLtMatmulPreferenceDestroy);
  DLCUDA_CUBLASLT(cublasLtMatmulPreferenceSetAttribute);
#undef DLCUDA_CUBLASLT

  CublasLt() {
    void* library = open_cublaslt();
#define DLCUDA_FIND(function) \
  function = reinterpret_cast<decltype(function)>(find_symbol(library, "cuBLASLt", #function))
    DLCUDA_FIND(cublasLtCreate);
    DLCUDA_FIND(cublasLtGetStatusString);
    DLCUDA_FIND(cublasLtMatmul);
    DLCUDA_FIND(cublasLtMatmulAlgoGetHeuristic);
    DLCUDA_FIND(cublasLtMatmulDescCreate);
    DLCUDA_FIND(cublasLtMatmulDescDestroy);
    DLCUDA_FIND(cublasLtMatmulDescSetAttribute);
    DLCUDA_FIND(cublasLtMatrixLayoutCreate);
    DLCUDA_FIND(cublasLtMatrixLayoutDestroy);
    DLCUDA_FIND(cublasLtMatrixLayoutSetAttribute);
    DLCUDA_FIND(cublasLtMatmulPreferenceCreate);
    DLCUDA_FIND(cublasLtMatmulPreferenceDestroy);
    DLCUDA_FIND(cublasLtMatmulPreferenceSetAttribute);
#undef DLCUDA_FIND
  }
};

const CublasLt& cublaslt() {
  static const CublasLt library;
  return library;
}

void check_status(cublasStatus_t status, const char* call) {
  DLCUDA_CHECK(status == CUBLAS_STATUS_SUCCESS, DeviceError, "matmul: {} failed: {}", call,
               cublaslt().cublasLtGetStatusString(status));
}
#define DLCUDA_CUBLASLT_CHECK(function, ...) check_status(cublaslt().function(__VA_ARGS__), #function)

/// One for each device, alive until the process ends. All threads share it: calls change nothing in it, and
/// the stream is an argument of theirs.
cublasLtHandle_t handle_of(Device device) {
  static auto& mutex = *new std::mutex;  // never destroyed, as the handles
  static auto& handles = *new std::map<int, cublasLtHandle_t>;
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& handle = handles[device.index];
  if (handle == nullptr) DLCUDA_CUBLASLT_CHECK(cublasLtCreate, &handle);
  return handle;
}

template <typename T, auto kDestroy>
struct Destroy {
  void operator()(T* object) const { (cublaslt().*kDestroy)(object); }
};
template <typename Pointer, auto kDestroy>
using Owned =
    std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy<std::remove_pointer_t<Pointer>, kDestroy>>;
using MatrixLayout = Owned<cublasLtMatrixLayout_t, &CublasLt::cublasLtMatrixLayoutDestroy>;
using MatmulDesc = Owned<cublasLtMatmulDesc_t, &CublasLt::cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, &CublasLt::cublasLtMatmulPreferenceDestroy>;

template <typename T>
void set(const MatmulDesc& desc, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  DLCUDA_CUBLASLT_CHECK(cublasLtMatmulDescSetAttribute, desc.get(), attribute, &value, sizeof value);
}
template <typename T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  DLCUDA_CUBLASLT_CHECK(cublasLtMatmulPreferenceSetAttribute, preference.get(), attribute, &value,
                        sizeof value);
}
template <typename T>
void set(const MatrixLayout& layout, cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
  DLCUDA_CUBLASLT_CHECK(cublasLtMatrixLayoutSetAttribute, layout.get(), attribute, &value, sizeof value);
}

MatrixLayout make_layout(cudaDataType_t type, const TensorView& view) {
  const std::int64_t rows = view.shape[view.rank - 1], columns = view.shape[view.rank - 2];
  cublasLtMatrixLayout_t layout = nullptr;
  DLCUDA_CUBLASLT_CHECK(cublasLtMatrixLayoutCreate, &layout, type, static_cast<std::uint64_t>(rows),
                        static_cast<std::uint64_t>(columns), rows);
  MatrixLayout owned(layout);
  if (view.rank == 3) {
    set(owned, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(view.shape[0]));
    set(owned, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, rows * columns);
  }
  return owned;
}

cudaDataType_t cuda_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return CUDA_R_32F;
    case DType::F16:
      return CUDA_R_16F;
    case DType::BF16:
      return CUDA_R_16BF;
    default:
      DLCUDA_THROW(DTypeError,
                   "matmul on CUDA takes f32, f16 or bf16, got {}: cast the tensors or use the CPU",
                   to_string(dtype));
  }
}

/// The power of two, up to 256, that an address is a multiple of.
std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer) | 256u;
  return static_cast<std::uint32_t>(address & -address);
}

/// A product in cuBLASLt's terms: first is b, second is a, d is out, all column-major.
struct Product {
  MatmulDesc desc;
  MatrixLayout first, second, d;
};

Product describe(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
                 const MatmulParams& params) {
  const cudaDataType_t type = cuda_type(out.dtype);
  const bool tf32 = out.dtype == DType::F32 && allow_tf32();
  cublasLtMatmulDesc_t desc = nullptr;
  DLCUDA_CUBLASLT_CHECK(cublasLtMatmulDescCreate, &desc,
                        tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F);
  Product product{MatmulDesc(desc), make_layout(type, b), make_layout(type, a), make_layout(type, out)};
  const auto operation = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(product.desc, CUBLASLT_MATMUL_DESC_TRANSA, operation(params.transpose_b));
  set(product.desc, CUBLASLT_MATMUL_DESC_TRANSB, operation(params.transpose_a));
  if (bias.data != nullptr) {
    set(product.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(product.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.data);
  }
  return product;
}

struct Algorithm {
  cublasLtMatmulAlgo_t algorithm;
  std::size_t workspace_bytes;
};

Algorithm choose_algorithm(cublasLtHandle_t handle, const Product& product, const TensorView& a,
                           const TensorView& b, const TensorView& out) {
  cublasLtMatmulPreference_t created = nullptr;
  DLCUDA_CUBLASLT_CHECK(cublasLtMatmulPreferenceCreate, &created);
  const Preference preference(created);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMaxWorkspaceBytes);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(b.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(a.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(out.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(out.data));
  // Sums that are split over K stay in f32 also where the result is f16 or bf16. (NONE is 0, and always
  // allowed.)
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  DLCUDA_CUBLASLT_CHECK(cublasLtMatmulAlgoGetHeuristic, handle, product.desc.get(), product.first.get(),
                        product.second.get(), product.d.get(), product.d.get(), preference.get(), 1, &result,
                        &found);
  const auto extents = [](const TensorView& x) { return fmt::join(x.shape, x.shape + x.rank, ", "); };
  DLCUDA_CHECK(found == 1, DeviceError, "matmul: cuBLASLt has no algorithm for ({}) x ({}), {}", extents(a),
               extents(b), to_string(out.dtype));
  return {result.algo, result.workspaceSize};
}

}  // namespace

void matmul(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
            const MatmulParams& params) {
  if (out.numel() == 0) return;
  if (a.numel() == 0) {  // an empty K: an empty sum
    fill(out, 0);
    if (bias.data != nullptr) bias_add(out, bias, out);
    return;
  }
  const Device device = this_device();
  const cublasLtHandle_t handle = handle_of(device);
  const Product product = describe(a, b, bias, out, params);

  using Key = std::array<std::int64_t, 14>;
  static auto& mutex = *new std::mutex;
  static auto& algorithms = *new std::map<Key, Algorithm>;
  const Key key{device.index,
                static_cast<std::int64_t>(out.dtype),
                out.dtype == DType::F32 && allow_tf32(),
                params.transpose_a,
                params.transpose_b,
                bias.data != nullptr ? alignment_of(bias.data) : 0,
                out.rank == 3 ? out.shape[0] : 0,
                a.shape[a.rank - 2],
                a.shape[a.rank - 1],
                out.shape[out.rank - 2],
                out.shape[out.rank - 1],
                alignment_of(a.data),
                alignment_of(b.data),
                alignment_of(out.data)};
  Algorithm algorithm{};
  {
    const std::lock_guard lock(mutex);
    auto found = algorithms.find(key);
    if (found == algorithms.end()) {
      found = algorithms.emplace(key, choose_algorithm(handle, product, a, b, out)).first;
    }
    algorithm = found->second;
  }

  Tensor workspace;
  const auto bytes = static_cast<std::int64_t>(algorithm.workspace_bytes);
  if (bytes > 0) workspace = Tensor::empty({bytes}, DType::U8, device);
  const float one = 1.0f, zero = 0.0f;
  DLCUDA_CUBLASLT_CHECK(cublasLtMatmul, handle, product.desc.get(), &one, b.data, product.first.get(), a.data,
                        product.second.get(), &zero, out.data, product.d.get(), out.data, product.d.get(),
                        &algorithm.algorithm, bytes > 0 ? workspace.data() : nullptr,
                        algorithm.workspace_bytes, this_stream());
}

}  // namespace dlcuda::kernels::cuda
