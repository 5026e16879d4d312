/* Interrupts around virtual machines: the global interrupt flag, and who takes what (APM vol. 2, 15.13, 15.17, 15.21). */
#include "target/x86/svm.h"

bool svm_can_take_intr(const X86State *s)
{
    /* With V_INTR_MASKING the guest's IF is for virtual interrupts alone. */
    if (s->svm.guest && (s->svm.int_control & V_INTR_MASKING)) {
        return s->svm.host.rflags & EFL_IF;
    }
    return s->svm.gif && (s->eflags & EFL_IF);
}

bool svm_can_take_virtual(const X86State *s)
{
    uint32_t control = s->svm.int_control;
    unsigned priority = control >> V_INTR_PRIO_SHIFT & 15;

    return s->svm.guest && (control & V_IRQ) && (s->eflags & EFL_IF) && (!svm_has_virtual_gif(s) || (control & V_GIF)) &&
           ((control & V_IGN_TPR) || priority > (control & 15));
}

void svm_check_request(X86State *s, unsigned code)
{
    if (svm_intercepts(s, code)) {
        svm_exit(s, (X86SvmExit){ .code = code }, 0);
    }
}

void svm_take_virtual(X86State *s)
{
    X86Exception e = { .vector = s->svm.int_vector, .external = true };

    svm_check_request(s, SVM_EXIT_VINTR);
    s->svm.int_control &= ~(uint32_t)V_IRQ;
    cpu_clear_request(s->hot.cpu, CPU_REQ_VIRTUAL);
    s->hot.cpu->halted = false;
    x86_interrupt(s, &e);
}
