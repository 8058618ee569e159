import { words } from "../../i18n";

export const t = words({
  vi: {
    title: "Kho âm thanh",
    lead: "Bản tin và âm thanh đã tải lên. Nội dung được phê duyệt mới phát được.",
    name: "Tên",
    language: "Tiếng",
    duration: "Thời lượng",
    state: "Trạng thái",
    created: "Tải lên lúc",
    empty: "Kho còn trống",
    emptyText: "Tải lên bản tin thu bằng điện thoại hoặc máy ghi âm; hệ thống tự cân âm lượng và báo chỗ cần sửa.",
  },
  en: {
    title: "Sound library",
    lead: "Bulletins and sounds that were uploaded. Only what is approved can sound.",
    name: "Title",
    language: "Language",
    duration: "Length",
    state: "State",
    created: "Uploaded",
    empty: "The library is empty",
    emptyText:
      "Upload a bulletin recorded with a phone or a recorder; loudness is set for you and what needs a look is named.",
  },
});
