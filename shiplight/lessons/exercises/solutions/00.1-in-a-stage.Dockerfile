FROM busybox:latest AS mess
RUN head -c 5000000 /dev/zero > /zeros
RUN rm /zeros
COPY message.txt /message.txt

FROM busybox:latest
COPY --from=mess /message.txt /message.txt
CMD ["cat", "/message.txt"]
