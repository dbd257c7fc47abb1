#include "dlcuda/train/json_lines.h"

#include <nlohmann/json.hpp>

namespace dlcuda {
namespace {

using Json = nlohmann::ordered_json;

void write_line(std::FILE* out, const Json& object) {
  // A path may hold bytes that are not UTF-8; they are replaced rather than refused.
  const std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::fwrite(line.data(), 1, line.size(), out);
  std::fflush(out);
}

}  // namespace

void JsonLines::on_start(const StartReport& report) {
  score_name_ = report.score_name;
  const TrainOptions& options = report.options;
  write_line(out_, {{"event", "start"},
                    {"model", report.model},
                    {"version", report.version},
                    {"parameters", report.parameters},
                    {"device", report.device},
                    {"device_reason", report.device_reason},
                    {"threads", options.threads},
                    {"precision", to_string(options.precision)},
                    {"memory_format", report.memory_format},
                    {"seed", options.seed},
                    {"dataset", report.dataset},
                    {"train_count", report.train_count},
                    {"validation_count", report.validation_count},
                    {"validation_is_test", report.validation_is_test},
                    {"test_count", report.test_count},
                    {"epochs", options.epochs},
                    {"batch_size", options.batch_size},
                    {"optimizer", options.optimizer},
                    {"lr", options.lr},
                    {"schedule", report.schedule},
                    {"workers", options.workers},
                    {"limit", options.limit},
                    {"run_folder", report.run_folder}});
}

void JsonLines::on_epoch(const EpochReport& report) {
  write_line(out_, {{"event", "epoch"},
                    {"epoch", report.epoch},
                    {"train_loss", report.train.loss},
                    {"train_" + score_name_, report.train.score},
                    {"val_loss", report.validation.loss},
                    {"val_" + score_name_, report.validation.score},
                    {"best", report.best},
                    {"lr", report.lr},
                    {"images_per_second", report.images_per_second},
                    {"seconds", report.seconds}});
}

void JsonLines::on_note(const std::string& text) { write_line(out_, {{"event", "note"}, {"text", text}}); }

void JsonLines::on_final(const FinalReport& report) {
  write_line(out_, {{"event", "final"},
                    {"test_loss", report.test.loss},
                    {"test_" + score_name_, report.test.score},
                    {"test_count", report.test.count},
                    {"weights", report.weights},
                    {"weights_epoch", report.weights_epoch},
                    {"seconds", report.seconds},
                    {"images_per_second", report.images_per_second}});
}

}  // namespace dlcuda
