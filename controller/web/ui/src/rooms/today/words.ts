import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Hôm nay",
    clusters: "Cụm loa",
    online: "Đang kết nối",
    playing: "Đang phát",
    missed: "Bị lỡ",
    faults: "Lỗi",
    faultsTitle: "Cần xử lý",
    fault: "Lỗi",
    cluster: "Cụm loa",
    since: "Từ lúc",
    contact: "Người phụ trách",
    empty: "Không có lỗi nào",
    emptyText: "Khi một thiết bị hỏng hoặc mất điện, nó hiện ở đây cùng số điện thoại người phụ trách.",
  },
  en: {
    title: "Today",
    clusters: "Clusters",
    online: "Connected",
    playing: "Sounding",
    missed: "Missed",
    faults: "Faults",
    faultsTitle: "Needs attention",
    fault: "Fault",
    cluster: "Cluster",
    since: "Since",
    contact: "Contact",
    empty: "No faults",
    emptyText: "When a box fails or loses power it shows here, with the phone number of who looks after it.",
  },
});
