import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Phát trực tiếp",
    lead: "Ai đang nói trên loa, ở đâu.",
    name: "Buổi phát",
    state: "Trạng thái",
    empty: "Không có ai đang phát trực tiếp",
    emptyText: "Khi có người nói trực tiếp, buổi phát hiện ở đây cùng thời gian còn lại.",
  },
  en: {
    title: "Live studio",
    lead: "Who is speaking on the loudspeakers, and where.",
    name: "Session",
    state: "State",
    empty: "Nobody is on air",
    emptyText: "When somebody speaks live, the session shows here with the time left.",
  },
});
