#include "dlcuda/train/interrupt.h"

#include <signal.h>

namespace dlcuda {
namespace {

volatile sig_atomic_t received = 0;
struct sigaction previous_interrupt, previous_terminate;

void remember(int number) { received = number; }

}  // namespace

InterruptGuard::InterruptGuard() {
  received = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags =
      static_cast<int>(SA_RESETHAND | SA_RESTART);  // the second signal finds the default action
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_interrupt);
  sigaction(SIGTERM, &action, &previous_terminate);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &previous_interrupt, nullptr);
  sigaction(SIGTERM, &previous_terminate, nullptr);
}

int InterruptGuard::signal() const { return received; }

}  // namespace dlcuda
