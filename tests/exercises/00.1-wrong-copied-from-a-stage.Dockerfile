# hint: or leave them behind
FROM busybox:latest AS mess
RUN head -c 5000000 /dev/zero > /padding

FROM busybox:latest
COPY --from=mess /padding /data/padding
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
