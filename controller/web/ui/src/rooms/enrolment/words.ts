import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Thiết bị mới",
    lead: "Thiết bị đang chờ được nhận. So tám chữ số trên thiết bị trước khi chấp nhận.",
    box: "Thiết bị",
    address: "Địa chỉ",
    software: "Phần mềm",
    since: "Chờ từ",
    empty: "Không có thiết bị nào đang chờ",
    emptyText: "Cắm điện và mạng cho thiết bị; nó tự tìm bộ điều khiển và hiện ở đây sau ít giây.",
  },
  en: {
    title: "New boxes",
    lead: "Boxes that wait to be let in. Compare the eight digits on the box before you approve.",
    box: "Box",
    address: "Address",
    software: "Software",
    since: "Waiting since",
    empty: "No box is waiting",
    emptyText: "Give the box power and network; it finds the controller by itself and shows here within seconds.",
  },
});
