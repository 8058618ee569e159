import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Tin cảnh báo",
    lead: "Cảnh báo nhận từ cơ quan khí tượng và các nguồn khác, kèm kết quả kiểm tra chữ ký.",
    headline: "Nội dung",
    source: "Nguồn",
    severity: "Mức độ",
    state: "Trạng thái",
    received: "Nhận lúc",
    empty: "Chưa nhận tin nào",
    emptyText: "Quản trị viên khai báo nguồn cảnh báo (CAP); tin mới sẽ tự hiện ở đây và báo chuông.",
  },
  en: {
    title: "Incoming warnings",
    lead: "Warnings from the weather service and other sources, with the verdict on their signatures.",
    headline: "What",
    source: "Source",
    severity: "Severity",
    state: "State",
    received: "Received",
    empty: "No warning was received",
    emptyText: "An administrator names the sources (CAP); what they send shows here by itself and rings the bell.",
  },
});
