import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Diễn tập",
    lead: "Chỉ để luyện tập: loa luôn nói “diễn tập” ở đầu và cuối.",
    name: "Buổi diễn tập",
    start: "Bắt đầu",
    boxes: "Thiết bị",
    passed: "Đạt",
    empty: "Chưa diễn tập lần nào",
    emptyText: "Mỗi tháng nên diễn tập một lần để biết loa nào không kêu trước khi cần đến.",
  },
  en: {
    title: "Drills",
    lead: "For practice only: loudspeakers always say “drill” at the beginning and the end.",
    name: "Drill",
    start: "Start",
    boxes: "Boxes",
    passed: "Passed",
    empty: "No drill yet",
    emptyText: "Hold one every month: it shows which loudspeakers are mute before they are needed.",
  },
});
