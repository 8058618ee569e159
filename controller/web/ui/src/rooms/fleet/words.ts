import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Cụm loa",
    lead: "Mọi cụm loa bạn được xem, với trạng thái thật của thiết bị.",
    name: "Cụm loa",
    area: "Khu vực",
    state: "Trạng thái",
    contact: "Người phụ trách",
    noBox: "Chưa có thiết bị",
    disabled: "Tạm ngừng",
    empty: "Chưa có cụm loa nào",
    emptyText: "Quản trị viên thêm khu vực và cụm loa; kỹ thuật viên gắn thiết bị cho từng cụm.",
  },
  en: {
    title: "Clusters",
    lead: "Every cluster you may see, with the true state of its box.",
    name: "Cluster",
    area: "Area",
    state: "State",
    contact: "Contact",
    noBox: "No box",
    disabled: "Out of use",
    empty: "No clusters yet",
    emptyText: "An administrator adds areas and clusters; a technician gives each its box.",
  },
});
