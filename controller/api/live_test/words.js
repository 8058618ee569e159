// Every word of the page, in Vietnamese and in English; and what the controller's codes mean.
const WORDS = {
  vi: {
    heading: "Phát thanh trực tiếp (trang thử)", other: "English",
    name: "Tên đăng nhập", password: "Mật khẩu", sign_in: "Đăng nhập", sign_out: "Đăng xuất", signed_in_as: "Đang đăng nhập:",
    speak: "Nói trực tiếp", where: "Nơi phát (chọn một hoặc nhiều)", areas: "Khu vực", clusters: "Cụm loa", title: "Tiêu đề",
    chime: "Nhạc hiệu trước và sau", plain: "Gửi âm thanh không nén (không dùng Opus)",
    start: "Lên sóng", resume: "Nói tiếp", stop: "Kết thúc", extend: "Thêm 10 phút", level: "Mức âm thanh",
    left: "Còn lại {0}", meter: "{0} dB trung bình, {1} dB đỉnh, bỏ {2} khung", began: "{0} cụm loa, gửi {1}",
    opus: "Opus", pcm: "âm thanh không nén",
    idle: "Chưa lên sóng", opening: "Đang mở micrô…", waiting: "Đang chờ micrô", chime_state: "Nhạc hiệu – xin chờ",
    on_air: "ĐANG PHÁT – xin mời nói", absent: "Mất kết nối – đang nối lại…", closing: "Đang kết thúc", ended: "Đã kết thúc",
    listen: "Nghe thử", what: "Nghe loa hoặc nguồn nào", sources: "Nguồn phát", hear: "Nghe", unhear: "Thôi nghe",
    anyway: "Nghe cả khi đường truyền tính tiền theo dung lượng (khoảng 0,15 MB mỗi phút)",
    connecting: "Đang nối…", hearing: "Đang nghe", heard_end: "Đã thôi nghe",
    time: "Sắp hết giờ. Bấm “Thêm 10 phút” nếu cần.", silence: "Không nghe thấy gì từ micrô.",
    reload: "Phiên phát vẫn mở. Bấm “Nói tiếp” để nói tiếp.", unreachable: "Không nối được với máy chủ.",
  },
  en: {
    heading: "Speak live (test page)", other: "Tiếng Việt",
    name: "Name", password: "Password", sign_in: "Sign in", sign_out: "Sign out", signed_in_as: "Signed in as",
    speak: "Speak live", where: "Where (one or more)", areas: "Areas", clusters: "Clusters", title: "Title",
    chime: "Chime before and after", plain: "Send plain samples (no Opus)",
    start: "Go on air", resume: "Continue speaking", stop: "End", extend: "10 minutes more", level: "Level",
    left: "{0} left", meter: "{0} dB RMS, {1} dB peak, {2} frames dropped", began: "{0} cluster(s), sending {1}",
    opus: "Opus", pcm: "plain samples",
    idle: "Not on air", opening: "Opening the microphone…", waiting: "Waiting for the microphone", chime_state: "Chime – please wait",
    on_air: "ON AIR – please speak", absent: "Connection lost – trying again…", closing: "Closing", ended: "Ended",
    listen: "Listen in", what: "Which loudspeaker or source", sources: "Sources", hear: "Listen", unhear: "Stop listening",
    anyway: "Also on a link that is paid by volume (about 0.15 MB a minute)",
    connecting: "Connecting…", hearing: "Listening", heard_end: "Not listening any more",
    time: "Time is nearly up. Press “10 minutes more” if you need them.", silence: "Nothing is heard from the microphone.",
    reload: "The session is still open. Press “Continue speaking”.", unreachable: "The controller cannot be reached.",
  },
};

const CODES = {
  wrong_credentials: ["Sai tên đăng nhập hoặc mật khẩu.", "The name or the password is wrong."],
  too_many_tries: ["Thử quá nhiều lần. Xin chờ một lát.", "Too many tries. Wait a moment."],
  unauthenticated: ["Phiên đăng nhập không còn hiệu lực. Xin đăng nhập lại.", "You are not signed in any more. Sign in again."],
  forbidden: ["Bạn không có quyền làm việc này ở đó. Xin hỏi người quản trị.", "You have no right to do this there. Ask an administrator."],
  live_busy: ["Đã có người đang nói ở đó.", "Somebody speaks there already."],
  quiet_hours: ["Đang hoặc sắp đến giờ yên tĩnh ở đó; chỉ tin khẩn cấp được phát.", "There are quiet hours; only emergencies may sound."],
  no_target: ["Xin chọn nơi phát. Nơi đó phải có cụm loa đang hoạt động.", "Choose where. There must be an active cluster."],
  too_many_sessions: ["Quá nhiều phiên đang mở.", "Too many sessions are open."],
  not_your_session: ["Đây là phiên của người khác.", "This is somebody else's session."],
  session_ended: ["Phiên đã kết thúc.", "The session is over."],
  not_found: ["Không còn phiên này nữa.", "This session is not there any more."],
  not_on_air: ["Phiên chưa lên sóng.", "The session is not on air."],
  too_long: ["Một phiên dài nhất là hai giờ.", "A session lasts two hours at most."],
  ended_by_speaker: ["Bạn đã kết thúc.", "You ended it."],
  ended_by_desk: ["Một người khác ở bàn điều khiển đã kết thúc.", "Somebody else at the desk ended it."],
  stopped: ["Lệnh DỪNG từ nơi khác đã cắt buổi phát.", "A STOP order from elsewhere cut it off."],
  time_is_up: ["Đã hết giờ.", "Time is up."],
  speaker_gone: ["Mất kết nối quá lâu, buổi phát đã kết thúc.", "The connection was away for too long; it was ended."],
  nobody_spoke: ["Không có micrô nào được nối.", "No microphone came."],
  replaced: ["Một cửa sổ khác của bạn đang dùng micrô.", "Another window of yours took over the microphone."],
  right_taken: ["Quyền phát của bạn đã bị thu lại.", "Your right to speak was taken away."],
  alert_cancelled: ["Tin khẩn cấp đã bị hủy.", "The alert was cancelled."],
  agent_offline: ["Cụm loa này không kết nối.", "This cluster is not connected."],
  metered_link: ["Đường truyền của cụm này tính tiền theo dung lượng. Đánh dấu ô bên trên nếu vẫn muốn nghe.", "This cluster pays by volume. Tick the box above to listen all the same."],
  nothing_to_hear: ["Cụm này không có âm thanh để nghe.", "There is nothing to hear at this cluster."],
  no_answer: ["Cụm loa không trả lời.", "The cluster does not answer."],
  too_many_listeners: ["Quá nhiều người đang nghe.", "Too many people listen already."],
  not_heard: ["Không nghe được. Xin thử lại.", "It cannot be heard. Try again."],
  source_silent: ["Nguồn này không phát gì.", "This source sends nothing."],
  NotAllowedError: ["Trình duyệt không được phép dùng micrô. Bấm vào biểu tượng ổ khóa cạnh địa chỉ, cho phép micrô rồi thử lại.", "The browser may not use the microphone. Click the lock beside the address, allow the microphone, and try again."],
  NotFoundError: ["Máy này không có micrô.", "This computer has no microphone."],
  NotReadableError: ["Micrô đang bị chương trình khác chiếm.", "Another program holds the microphone."],
  insecure: ["Trang này phải mở bằng https (hoặc trên chính máy chủ) thì mới dùng được micrô.", "The microphone works only when this page is opened by https (or on the controller itself)."],
  unplugged: ["Micrô đã bị ngắt.", "The microphone was taken away."],
  unreachable: ["Không nối được với máy chủ.", "The controller cannot be reached."],
};

const STORED = "loa.language";
let language = localStorage.getItem(STORED) ?? (navigator.language.startsWith("vi") ? "vi" : "en");

/** A word of the page, with {0}, {1} … filled in. */
export function word(key, ...values) {
  return values.reduce((text, value, at) => text.replace(`{${at}}`, value), WORDS[language][key] ?? key);
}

/** What a code means to people; what the controller said where the page has no words of its own. */
export function meaning(code, detail = "") {
  const both = CODES[code];
  if (!both) return detail || code;
  return both[language === "vi" ? 0 : 1];
}

/** Write the words into the page, and call `changed` whenever the other language is chosen. */
export function translate(button, changed) {
  const write = () => {
    document.documentElement.lang = language;
    document.title = `Loa – ${word("heading")}`;
    document.querySelectorAll("[data-word]").forEach((one) => { one.textContent = word(one.dataset.word); });
    button.textContent = word("other");
    button.lang = language === "vi" ? "en" : "vi";
    changed();
  };
  button.addEventListener("click", () => {
    language = language === "vi" ? "en" : "vi";
    localStorage.setItem(STORED, language);
    write();
  });
  write();
}
