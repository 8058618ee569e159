import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Cụm loa",
    place: "Thông tin",
    languages: "Tiếng phát",
    contact: "Người phụ trách",
    zone: "Múi giờ",
    boxes: "Thiết bị",
    box: "Thiết bị",
    state: "Trạng thái",
    sounding: "Đang phát",
    seen: "Liên lạc cuối",
    faults: "Lỗi",
    empty: "Chưa có thiết bị",
    emptyText: "Gắn thiết bị cho cụm này ở trang Thiết bị mới.",
  },
  en: {
    title: "Cluster",
    place: "About",
    languages: "Languages",
    contact: "Contact",
    zone: "Time zone",
    boxes: "Boxes",
    box: "Box",
    state: "State",
    sounding: "Sounding",
    seen: "Last heard",
    faults: "Faults",
    empty: "No box",
    emptyText: "Give this cluster a box on the page New boxes.",
  },
});
