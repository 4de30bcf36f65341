// Unknown fields are skipped, as protobuf requires, because newer versions of the library add
// fields. Known fields must have their type.

#include "data/text/sentencepiece_model.h"

#include <bit>
#include <cmath>
#include <utility>

#include "tensor/check.h"

namespace vila::data {

namespace {

enum class Wire { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

constexpr const char* kWireNames[] = {"a varint", "8 bytes", "a string", "?", "?", "4 bytes"};

// Reads the fields of a message in order.
class MessageReader {
  public:
    MessageReader(std::string_view message, std::string where)
        : rest_(message), where_(std::move(where)) {}

    // Reads the next field. Returns false at the end of the message.
    bool next() {
        if (rest_.empty()) return false;
        const uint64_t key = varint();
        field_ = key >> 3;
        VILA_CHECK(field_ > 0 && field_ < (uint64_t{1} << 29), where_, ": field number ", field_,
                   " is not one of protobuf: not a SentencePiece model, or damaged");
        switch (key & 7) {
            case 0:
                wire_ = Wire::Varint;
                number_ = varint();
                return true;
            case 1:
                wire_ = Wire::Fixed64;
                take(8);
                return true;
            case 2:
                wire_ = Wire::Bytes;
                bytes_ = take(varint());
                return true;
            case 5:
                wire_ = Wire::Fixed32;
                bytes_ = take(4);
                return true;
            default:
                throw Error(str(where_, ": field ", field_, " has wire type ", key & 7,
                                ": not a SentencePiece model, or damaged"));
        }
    }

    uint64_t field() const { return field_; }
    std::string_view bytes() const { return expect(Wire::Bytes), bytes_; }
    std::string text() const { return std::string(bytes()); }
    uint64_t number() const { return expect(Wire::Varint), number_; }
    bool flag() const { return number() != 0; }
    float real() const {
        expect(Wire::Fixed32);
        uint32_t bits = 0;  // little-endian in the file
        for (int i = 3; i >= 0; --i) bits = bits << 8 | static_cast<uint8_t>(bytes_[i]);
        return std::bit_cast<float>(bits);
    }

  private:
    void expect(Wire wanted) const {
        VILA_CHECK(wire_ == wanted, where_, ": field ", field_, " is ",
                   kWireNames[static_cast<int>(wire_)], ": expected ",
                   kWireNames[static_cast<int>(wanted)]);
    }
    std::string_view take(uint64_t count) {
        VILA_CHECK(count <= rest_.size(), where_, ": field ", field_, " needs ", count,
                   " bytes, but only ", rest_.size(), " are left: the file is cut or damaged");
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }
    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<uint8_t>(take(1)[0]);
            VILA_CHECK(shift < 63 || byte <= 1, where_, ": a number has more than 64 bits");
            value |= static_cast<uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80) return value;
        }
        throw Error(str(where_, ": a number has more than 64 bits"));
    }

    std::string_view rest_;
    std::string where_;
    uint64_t field_ = 0, number_ = 0;
    Wire wire_ = Wire::Varint;
    std::string_view bytes_;
};

SentencePieceModel::Piece read_piece(std::string_view message, const std::string& where) {
    SentencePieceModel::Piece piece;
    for (MessageReader reader(message, where); reader.next();) {
        if (reader.field() == 1) {
            piece.text = reader.text();
        } else if (reader.field() == 2) {
            piece.score = reader.real();
            VILA_CHECK(!std::isnan(piece.score), where, ": its score is not a number");
        } else if (reader.field() == 3) {
            VILA_CHECK(reader.number() >= 1 && reader.number() <= 6, where, ": its type is ",
                       reader.number(), ": expected 1 to 6");
            piece.type = static_cast<SentencePieceModel::Type>(reader.number());
        }
    }
    VILA_CHECK(!piece.text.empty(), where, " has no text");
    return piece;
}

void read_trainer(std::string_view message, const std::string& where, SentencePieceModel& model) {
    for (MessageReader reader(message, where + ": trainer_spec"); reader.next();) {
        switch (reader.field()) {
            case 3:
                VILA_CHECK(reader.number() >= 1 && reader.number() <= 4, where,
                           ": trainer_spec has model_type ", reader.number(), ": expected 1 to 4");
                model.algorithm = static_cast<SentencePieceModel::Algorithm>(reader.number());
                break;
            case 24:
                model.whitespace_is_suffix = reader.flag();
                break;
            case 35:
                model.byte_fallback = reader.flag();
                break;
            case 44:
                model.unknown_surface = reader.text();
                break;
            case 46:
                model.bos_piece = reader.text();
                break;
            case 47:
                model.eos_piece = reader.text();
                break;
            case 48:
                model.pad_piece = reader.text();
                break;
            default:
                break;
        }
    }
}

void read_normalizer(std::string_view message, const std::string& where,
                     SentencePieceModel& model) {
    for (MessageReader reader(message, where + ": normalizer_spec"); reader.next();) {
        switch (reader.field()) {
            case 1:
                model.normalizer = reader.text();
                break;
            case 2:
                model.charsmap = reader.text();
                break;
            case 3:
                model.add_dummy_prefix = reader.flag();
                break;
            case 4:
                model.remove_extra_whitespaces = reader.flag();
                break;
            case 5:
                model.escape_whitespaces = reader.flag();
                break;
            default:
                break;
        }
    }
}

void read_denormalizer(std::string_view message, const std::string& where,
                       SentencePieceModel& model) {
    for (MessageReader reader(message, where + ": denormalizer_spec"); reader.next();)
        if (reader.field() == 2) model.denormalizer_charsmap = reader.text();
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where) {
    SentencePieceModel model;
    for (MessageReader reader(bytes, where); reader.next();) {
        switch (reader.field()) {
            case 1:
                model.pieces.push_back(
                    read_piece(reader.bytes(), str(where, ": piece ", model.pieces.size())));
                break;
            case 2:
                read_trainer(reader.bytes(), where, model);
                break;
            case 3:
                read_normalizer(reader.bytes(), where, model);
                break;
            case 5:
                read_denormalizer(reader.bytes(), where, model);
                break;
            default:
                break;
        }
    }
    VILA_CHECK(!model.pieces.empty(), where, ": no pieces: not a SentencePiece model");
    return model;
}

}  // namespace vila::data
