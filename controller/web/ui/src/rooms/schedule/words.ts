import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Lịch phát",
    lead: "Chương trình đã đặt lịch, chương trình sắp phát trước.",
    name: "Tên chương trình",
    next: "Lần phát tới",
    rule: "Lặp lại",
    once: "Một lần",
    state: "Trạng thái",
    empty: "Chưa có chương trình nào",
    emptyText: "Tải bản tin lên Kho âm thanh, chờ phê duyệt, rồi đặt lịch phát tại đây.",
  },
  en: {
    title: "Schedule",
    lead: "Programmes on the schedule, what comes first on top.",
    name: "Programme",
    next: "Next on air",
    rule: "Repeats",
    once: "Once",
    state: "State",
    empty: "No programme yet",
    emptyText: "Upload a bulletin to the sound library, have it approved, then schedule it here.",
  },
});
