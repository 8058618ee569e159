import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Khẩn cấp",
    lead: "Cảnh báo thật tới người dân. Diễn tập có trang riêng.",
    name: "Cảnh báo",
    state: "Trạng thái",
    clusters: "Số cụm loa",
    start: "Bắt đầu",
    empty: "Không có cảnh báo nào",
    emptyText: "Cảnh báo cần hai người: một người soạn, người kia xác nhận trên thiết bị của mình.",
  },
  en: {
    title: "Emergency",
    lead: "Real alerts to the public. Drills have a page of their own.",
    name: "Alert",
    state: "State",
    clusters: "Clusters",
    start: "Start",
    empty: "No alerts",
    emptyText: "An alert takes two people: one composes, the other confirms on their own device.",
  },
});
